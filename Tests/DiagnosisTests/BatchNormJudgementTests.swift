// SPDX-License-Identifier: Apache-2.0

import Testing
import ThawDiagnosis
import ThawExecution
import ThawNetwork

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
    heldOut: Int? = nil, renamed: [String: String] = [:]
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
      renamed: renamed)
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
