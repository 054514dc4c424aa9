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
    preference: HeadPreference? = nil, otherEpsilon: Int? = nil, smallBatches: Int? = nil
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
      otherEpsilon: otherEpsilon.map {
        .init(epsilon: 1e-3, asItIs: results(inference), results: results($0))
      },
      smallBatches: smallBatches.map {
        .init(batch: 2, inference: results(inference), results: results($0))
      })
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
    #expect(
      verdict.verdict.contains("99.0\u{A0}% on batch statistics and 30.0\u{A0}% on running ones"))
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
    #expect(verdict.evidence.contains { $0.contains("62.0\u{A0}%") })
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

  @Test func aPoorHeadThatDoesBetterInBatchesOfTwoLearnedInThem() {
    let poor = (inference: 60, training: 62, solved: 124)
    let trapped = judge(facts(inference: 60, training: 62, unseen: poor, smallBatches: 90))
    #expect(trapped.kind == .batchStatistics)
    #expect(judge(facts(inference: 60, training: 62, unseen: poor)).kind == .undertrained)
    #expect(
      judge(facts(inference: 60, training: 62, unseen: poor, smallBatches: 62)).kind
        == .undertrained)
  }

  @Test func statisticsOfFewBitsWereRoundedAndNotTrained() {
    let rounded = OriginalWeights(
      card: "tiny", weights: .init(tensors: 10), affine: .init(tensors: 20),
      statistics: .init(tensors: 20, changed: 20),
      changedLayers: (0..<10).map { ParameterPath("bn\($0)") }, isRounded: true)
    let verdict = judge(facts(inference: 180, training: 150, original: rounded))
    #expect(verdict.kind == .alteredBatchNorms)
    #expect(verdict.verdict.contains("were rounded when the network was saved"))
  }

  @Test func aContractIsNotBlamedForAHeadThatItDoesNotMakeGood() {
    let poor = (inference: 60, training: 64, solved: 124)
    let found = judge(
      facts(
        inference: 60, training: 64, inputs: [("declared", 60, 0.02), ("torch", 80, 0.3)],
        unseen: poor, preference: preference(running: (60, 124), anew: (84, 96))))
    #expect(found.kind == .batchStatistics)
  }

  /// A head that knows little gains by whatever separates the classes better: seen of a healthy network
  /// on 50 new photos.
  @Test func aHeadThatKnowsLittleWasMadeForNothing() {
    func preference(own: (Int, Int), fresh: (Int, Int)) -> HeadPreference {
      HeadPreference(
        [
          (
            HeadPair(own: results(own.0, of: 50), solved: results(fresh.0, of: 50)),
            HeadPair(own: results(own.1, of: 50), solved: results(fresh.1, of: 50))
          )
        ], chance: 0.5)
    }
    let little = preference(own: (37, 38), fresh: (42, 34))
    #expect(little.accuracyScore > 2 && little.lossScore > 2 && little.gain > 0)
    #expect(little.skill > 3.5 && !little.isSkilled && !little.prefersOther)
    let more = preference(own: (40, 41), fresh: (45, 37))
    #expect(more.isSkilled && more.prefersOther)
  }

  /// Trained on labels drawn at random and asked about with new photos, it guesses in both phases, less
  /// sure of itself on batch statistics.
  @Test func aHeadThatGuessesIsNotAccusedForGuessingMoreModestly() {
    var guessing = facts(
      inference: 90, training: 116, unseen: (90, 116, 168),
      preference: preference(running: (22, 168), anew: (24, 168)))
    #expect(guessing.preference?.isSkilled == false)
    #expect(judge(guessing).kind == .undertrained)
    // One that knows something is.
    guessing.preference = preference(running: (90, 168), anew: (116, 168))
    #expect(judge(guessing).kind == .batchStatistics)
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
    #expect(verdict.verdict.contains("99.0\u{A0}% instead of 20.0\u{A0}%"))
    #expect(judge(facts(inference: 196, training: 160, otherEpsilon: 197)).kind == .healthy)
    // One that guesses with either knows nothing of epsilons, and a run's file says its own.
    #expect(judge(facts(inference: 10, training: 12, otherEpsilon: 24)).kind != .otherEpsilon)
    var own = facts(inference: 40, training: 45, otherEpsilon: 198)
    own.recordedMode = .inference
    #expect(judge(own).kind != .otherEpsilon)
  }

  /// Photos may happen to suit batch statistics better; a run that recorded that its head learned on running
  /// ones did so.
  @Test func whatARunRecordsIsWhatItsHeadWasMadeFor() {
    var facts = facts(
      inference: 110, training: 110, preference: preference(running: (100, 150), anew: (140, 150)))
    #expect(judge(facts).kind == .batchStatistics)
    facts.recordedMode = .inference
    #expect(judge(facts).kind != .batchStatistics)
  }

  /// Where channels are much alike, a few values say nothing of whose statistics they fit.
  @Test func chanceIsNoDamage() {
    func layers(values: Int) -> [BatchNormFacts.Layer] {
      (0..<10).map { index in
        let means = (0..<32).map { Double($0 % 5) * (index == 9 ? 0.1 : 1) }
        let data = index == 9 ? Array(means.dropFirst(3) + means.prefix(3)) : means
        let shift = LayerShift(
          ChannelMoments(count: values, mean: data, variance: data.map { _ in 1 }),
          runningMean: means.map { Float($0) }, runningVariance: means.map { _ in 1 }, epsilon: 0)
        return BatchNormFacts.Layer(
          path: ParameterPath("bn\(index)"), group: 0, own: shift, asRun: shift, isInitial: false)
      }
    }
    #expect(BatchNormFacts.suspects(layers(values: 10_000)) == [9])
    #expect(BatchNormFacts.suspects(layers(values: 100)).isEmpty)
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
