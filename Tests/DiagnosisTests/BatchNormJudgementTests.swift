// SPDX-License-Identifier: Apache-2.0

import Testing
import ThawDiagnosis
import ThawExecution
import ThawNetwork
import ThawTensors

@Suite struct BatchNormJudgementTests {
  /// `right` of `count` photos right, with the losses that go with it.
  private func results(_ right: Int, of count: Int = 200, loss: Double? = nil) -> PhotoResults {
    PhotoResults(
      losses: (0..<count).map { loss ?? ($0 < right ? 0.1 : 3) + 0.01 * Double($0 % 7) },
      isRight: (0..<count).map { $0 < right })
  }

  private func layers(_ divergences: [Double]) -> [BatchNormFacts.Layer] {
    divergences.enumerated().map { index, divergence in
      // With equal variances the divergence is half the squared shift.
      let moments = ChannelMoments(
        count: 100, mean: [(2 * divergence).squareRoot()], variance: [1])
      let shift = LayerShift(moments, runningMean: [0], runningVariance: [1], epsilon: 0)
      return BatchNormFacts.Layer(
        path: ParameterPath("bn\(index)"), group: 0, own: shift, asRun: shift, isInitial: false)
    }
  }

  private func facts(
    inference: Int, training: Int, divergences: [Double] = [Double](repeating: 0.02, count: 10),
    repaired: Int? = nil, inputs: [(String, Int, Double)] = [], certainInput: Int? = nil,
    heldOut: Int? = nil, renamed: [String: String] = [:], original: OriginalWeights? = nil,
    unseen: (inference: Int, training: Int, solved: Int)? = nil, seen: Bool = false,
    preference: HeadPreference? = nil, otherEpsilon: Int? = nil
  ) -> BatchNormFacts {
    BatchNormFacts(
      layers: layers(divergences), inference: results(inference), training: results(training),
      auc: (0.95, 0.99), chance: 0.1, repaired: repaired.map { results($0) },
      inputs: [
        .init(name: "declared", results: results(inference), divergence: inputs.first?.2 ?? 0.02)
      ] + inputs.dropFirst().map { .init(name: $0.0, results: results($0.1), divergence: $0.2) },
      certainInput: certainInput, sampledTraining: results(training),
      sampledRepaired: repaired.map { results($0) },
      heldOut: heldOut.map { results($0) }, isTrainingData: true, recordedMode: nil,
      renamed: renamed, original: original, solved: otherEpsilon.map { _ in results(150) },
      unseen: unseen.map {
        .init(
          inference: results($0.inference), training: results($0.training),
          solved: results($0.solved))
      }, familiarity: Familiarity(said: seen), preference: preference,
      otherEpsilon: otherEpsilon.map { (1e-3, results($0)) })
  }

  /// Right photos of its own and of a fresh head, on running statistics and on those of the data.
  private func preference(running: (Int, Int), anew: (Int, Int)) -> HeadPreference {
    HeadPreference(
      [
        (
          HeadPair(own: results(running.0), solved: results(running.1)),
          HeadPair(own: results(anew.0), solved: results(anew.1))
        )
      ], chance: 0.1)
  }

  private func judge(_ facts: BatchNormFacts) -> BatchNormJudgement {
    BatchNormJudgement(facts, suspects: BatchNormFacts.suspects(facts.layers))
  }

  @Test func aNetworkThatNeedsBatchStatisticsIsAccused() {
    let verdict = judge(facts(inference: 60, training: 198, heldOut: 50))
    #expect(verdict.kind == .batchStatistics)
    #expect(verdict.verdict.contains("99.0 % on batch statistics and 30.0 % on running ones"))
    #expect(verdict.signature != nil)
  }

  @Test func aHealthyNetworkIsNotAccusedThoughBatchStatisticsDoWorse() {
    let verdict = judge(facts(inference: 198, training: 160, heldOut: 190))
    #expect(verdict.kind == .healthy)
    #expect(verdict.verdict.hasPrefix("No batch-norm problem"))
    #expect(verdict.suspects.isEmpty)
    #expect(judge(facts(inference: 196, training: 198, heldOut: 190)).kind == .healthy)
  }

  @Test func aStrangeDatasetShiftsAllLayersAndIsNoDamage() {
    let verdict = judge(
      facts(inference: 180, training: 150, divergences: [1.5, 1, 0.8, 1, 0.7, 0.9, 1.2, 0.6]))
    #expect(verdict.kind == .healthy)
  }

  @Test func theDamagedLayerIsNamed() {
    var divergences = [Double](repeating: 0.02, count: 10)
    divergences[6] = 8
    let verdict = judge(
      facts(inference: 90, training: 170, divergences: divergences, repaired: 195))
    #expect(verdict.kind == .corruptedStatistics)
    #expect(verdict.suspects == [6])
    #expect(verdict.verdict.contains("'bn6'"))
    let harmless = judge(
      facts(inference: 196, training: 170, divergences: divergences, repaired: 197))
    #expect(harmless.kind == .corruptedStatistics)
    #expect(harmless.verdict.contains("costs little"))
  }

  @Test func anotherContractThatFitsBetterIsThePreprocessing() {
    let verdict = judge(
      facts(
        inference: 40, training: 170,
        inputs: [("declared", 40, 9000), ("torch", 195, 0.02), ("raw", 30, 15000)], heldOut: 40))
    #expect(verdict.kind == .preprocessing)
    #expect(verdict.betterInput == 1)
    #expect(verdict.verdict.contains("'torch'"))
    #expect(verdict.verdict.hasPrefix("No batch-norm problem"))
  }

  @Test func aContractThatHappensToHelpACollapsedNetworkIsNotTheReason() {
    let verdict = judge(
      facts(
        inference: 60, training: 198, inputs: [("declared", 60, 0.5), ("torch", 100, 0.4)],
        heldOut: 50))
    #expect(verdict.kind == .batchStatistics)
  }

  @Test func aHeadThatLearnedToLiveWithWrongInputsIsFound() {
    let verdict = judge(
      facts(
        inference: 160, training: 140, inputs: [("declared", 160, 5000), ("torch", 120, 0.02)],
        certainInput: 1, heldOut: 150))
    #expect(verdict.kind == .preprocessing)
    #expect(verdict.verdict.contains("learned to live with it"))
  }

  @Test func movedNamesAreTheLabelOrder() {
    let verdict = judge(
      facts(inference: 190, training: 180, heldOut: 185, renamed: ["ants": "bees", "bees": "ants"]))
    #expect(verdict.kind == .labelOrder)
    #expect(verdict.verdict.contains("'ants' is predicted as 'bees'"))
  }

  @Test func goodOnSeenPhotosAndPoorOnOthersIsOverfitting() {
    #expect(judge(facts(inference: 200, training: 195, heldOut: 110)).kind == .overfitting)
    #expect(judge(facts(inference: 200, training: 195, heldOut: 190)).kind == .healthy)
  }

  @Test func poorInBothPhasesIsNotTheBatchNorms() {
    let verdict = judge(facts(inference: 30, training: 32, heldOut: 30))
    #expect(verdict.kind == .weak)
    #expect(verdict.verdict.hasPrefix("No batch-norm problem"))
  }
}

/// What the checkpoint at hand and photos that the network has not seen add to a verdict.
extension BatchNormJudgementTests {
  private func original(changed: Int, weights: Int = 0, affine: Int = 0) -> OriginalWeights {
    OriginalWeights(
      card: "tiny", weights: .init(tensors: 10, changed: weights),
      affine: .init(tensors: 20, changed: affine),
      statistics: .init(tensors: 20, changed: 2 * changed),
      changedLayers: (0..<changed).map { ParameterPath("bn\($0)") })
  }

  @Test func statisticsThatMovedBetweenFrozenWeightsAreAccusedThoughNothingElseShows() {
    // What `requires_grad = False` alone leaves: perfect on its own photos in both phases.
    let verdict = judge(facts(inference: 199, training: 197, original: original(changed: 10)))
    #expect(verdict.kind == .alteredBatchNorms)
    #expect(verdict.verdict.contains("running statistics of 10 of 10 batch norms are not"))
    // The same weights trained: then the statistics had to move.
    #expect(
      judge(facts(inference: 199, training: 197, original: original(changed: 10, weights: 3))).kind
        == .healthy)
    #expect(
      judge(facts(inference: 199, training: 197, original: original(changed: 0))).kind == .healthy)
  }

  @Test func oneChangedLayerIsDamageAndIsNamed() {
    let verdict = judge(facts(inference: 150, training: 160, original: original(changed: 1)))
    #expect(verdict.kind == .corruptedStatistics)
    #expect(verdict.suspects == [0])
  }

  @Test func aHeadForBatchStatisticsIsFoundOnPhotosItHasNotSeen() {
    // 34 % as it is, 39 % on batch statistics, 62 % with a new head.
    let verdict = judge(
      facts(
        inference: 68, training: 78, unseen: (68, 78, 124),
        preference: preference(running: (68, 124), anew: (84, 96))))
    #expect(verdict.kind == .batchStatistics)
    #expect(verdict.evidence.contains { $0.contains("62.0 %") })
  }

  @Test func aHeadThatWasTrainedTooLittleIsNoBatchNormProblem() {
    let verdict = judge(
      facts(
        inference: 90, training: 85, unseen: (90, 85, 124),
        preference: preference(running: (90, 124), anew: (85, 100))))
    #expect(verdict.kind == .undertrained)
    #expect(verdict.verdict.hasPrefix("No batch-norm problem"))
    // With its training photos at hand and right in inference, other photos are only different.
    let shifted = judge(
      facts(inference: 195, training: 150, heldOut: 90, unseen: (90, 100, 124), seen: true))
    #expect(shifted.kind == .overfitting)
  }

  @Test func photosThatLookDifferentMakeNoBatchNormProblem() {
    // Batch statistics help this head on dark photos, and a fresh head as much.
    let verdict = judge(
      facts(
        inference: 100, training: 130, unseen: (100, 130, 140),
        preference: preference(running: (100, 140), anew: (118, 170))))
    #expect(verdict.kind == .undertrained)
  }

  @Test func anotherEpsilonIsFoundByWhatItWouldDo() {
    let verdict = judge(facts(inference: 40, training: 45, otherEpsilon: 198))
    #expect(verdict.kind == .otherEpsilon)
    #expect(verdict.verdict.contains("99.0 % instead of 20.0 %"))
    #expect(judge(facts(inference: 196, training: 160, otherEpsilon: 197)).kind == .healthy)
  }

  @Test func nothingIsConcludedFromAHandfulOfPhotos() {
    var few = facts(inference: 160, training: 150)
    few.inference = results(12, of: 16)
    few.training = results(11, of: 16)
    let verdict = judge(few)
    #expect(verdict.kind == .cannotTell)
    #expect(verdict.verdict.contains("Cannot tell from 16 photos"))
  }
}

@Suite struct FamiliarityTests {
  private func results(_ right: Int, loss: Double) -> PhotoResults {
    PhotoResults(
      losses: (0..<200).map { ($0 < right ? loss : loss + 2) + 0.01 * Double($0 % 7) },
      isRight: (0..<200).map { $0 < right })
  }

  private func answer(
    _ inference: PhotoResults, _ training: PhotoResults, _ solved: PhotoResults,
    mirrored: PhotoResults? = nil
  ) -> Familiarity.Answer {
    Familiarity(inference: inference, training: training, solved: solved, mirrored: mirrored).answer
  }

  @Test func whatAHeadKnowsByHeartIsSeenInEitherPhase() {
    #expect(
      answer(results(199, loss: 0.02), results(150, loss: 0.6), results(125, loss: 1.2)) == .seen)
    #expect(
      answer(results(100, loss: 1.5), results(198, loss: 0.05), results(125, loss: 1.2)) == .seen)
    // Easy photos: nearly all right anyway, but far surer than a head that has not seen them.
    #expect(
      answer(results(200, loss: 0.001), results(180, loss: 0.3), results(196, loss: 0.2)) == .seen)
  }

  @Test func aHeadThatDoesNoBetterThanOneThatHasNotSeenThemHasNotLearnedThem() {
    #expect(
      answer(results(68, loss: 2), results(90, loss: 1.6), results(124, loss: 1.2)) == .unseen)
    #expect(
      answer(results(121, loss: 1.2), results(100, loss: 1.6), results(120, loss: 1.2)) == .unseen)
  }

  @Test func featuresThatRememberCannotTellUnlessMirroringDoes() {
    let (own, batch, solved) = (
      results(199, loss: 0.03), results(190, loss: 0.2), results(199, loss: 0.03)
    )
    #expect(answer(own, batch, solved, mirrored: results(198, loss: 0.03)) == .unknown)
    #expect(answer(own, batch, solved, mirrored: results(180, loss: 0.3)) == .seen)
  }
}

@Suite struct OriginalWeightsTests {
  @Test func roundingToHalfPrecisionIsNoChange() {
    let values = (0..<64).map { Float(0.013 * Double($0) - 0.3) }
    let original = Tensor(values, shape: [64])
    #expect(OriginalWeights.areSame(original, original))
    #expect(
      OriginalWeights.areSame(Tensor(values.map { Float(Float16($0)) }, shape: [64]), original))
    var moved = values
    moved[5] += 1e-3
    #expect(!OriginalWeights.areSame(Tensor(moved, shape: [64]), original))
    // Every number short, but not these numbers.
    #expect(
      !OriginalWeights.areSame(Tensor([Float](repeating: 0.5, count: 64), shape: [64]), original))
  }
}

@Suite struct NewPhotosTests {
  /// The interval holds the accuracy on a second set of photos as often as it says.
  @Test(arguments: [(0.6, 250), (0.95, 240), (0.35, 60), (0.99, 200)])
  func theIntervalHoldsForAsManyNewPhotos(share: Double, count: Int) {
    var stream = RandomStream(seed: 7, purpose: .resampling)
    func measured() -> Double {
      Double((0..<count).count { _ in stream.uniform(in: 0...1) < share }) / Double(count)
    }
    let trials = 4000
    let held = (0..<trials).count { _ in
      BatchNormFixes.newPhotos(measured(), count).contains(measured())
    }
    #expect(Double(held) / Double(trials) > 0.945)
    // Near 1 two more of each make it wider than it need be.
    #expect(Double(held) / Double(trials) < (share < 0.97 ? 0.985 : 1))
  }
}

@Suite struct LabelAssignmentTests {
  @Test func rotatedNamesAreFound() {
    let labels = (0..<60).map { $0 % 3 }
    let assignment = LabelAssignment(labels: labels, predictions: labels.map { ($0 + 1) % 3 })
    #expect(assignment.accuracy == 1)
    #expect(assignment.accuracyByName == 0)
    #expect(assignment.moved == [0: 1, 1: 2, 2: 0])
  }

  @Test func confusionAndCollapseMoveNothing() {
    let labels = (0..<100).map { $0 % 2 }
    let collapsed = LabelAssignment(labels: labels, predictions: labels.map { _ in 1 })
    #expect(collapsed.moved.isEmpty)
    let confused = LabelAssignment(
      labels: labels, predictions: labels.enumerated().map { $0.offset % 3 == 0 ? 0 : $0.element })
    #expect(confused.moved.isEmpty)
  }

  @Test func outputsThatTheFoldersDoNotNameCanBeAssigned() {
    let assignment = LabelAssignment(labels: [3, 3, 3, 7, 7, 7], predictions: [9, 9, 3, 7, 7, 7])
    #expect(assignment.moved == [:])
    let moved = LabelAssignment(
      labels: [3, 3, 3, 3, 7, 7, 7], predictions: [9, 9, 9, 9, 7, 7, 7])
    #expect(moved.moved == [3: 9])
  }
}
