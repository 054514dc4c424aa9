// SPDX-License-Identifier: Apache-2.0

import Foundation
import Testing
import ThawDatasets
import ThawExecution
import ThawImages
import ThawNetwork
import ThawTensors
import ThawTestSupport
import ThawTraining

private struct LabelCase: Decodable {
  let inputs: Int
  let classes: Int
  let rate: Double
  let momentum: Double
  let features: [Float]
  let targets: [Float?]
  let weight: [Float]
  let bias: [Float]
  let positiveWeights: [Float]
  let losses: [Double]
  let weightAfter: [Float]
  let biasAfter: [Float]
  let scores: [Float]
  let averagePrecision: [Double]
  let f1AtFourTenths: [Double]
  let strength: Double
  let logisticWeight: [Float]
  let logisticBias: [Float]

  var rows: TargetRows { TargetRows(targets.map { $0 ?? .nan }, classes: classes) }
  var source: InMemoryFeatures {
    InMemoryFeatures(Tensor(features, shape: [rows.count, inputs]), targets: rows)
  }
  var start: Parameters {
    Parameters([
      "fc.weight": Tensor(weight, shape: [classes, inputs]),
      "fc.bias": Tensor(bias, shape: [classes]),
    ])
  }
}

/// Against numbers of `Tools/label_goldens.py`: PyTorch and scikit-learn.
@Suite struct SeveralLabelsTests {
  private let test: LabelCase

  init() throws { test = try golden("labels", as: LabelCase.self) }

  /// PyTorch's BCEWithLogitsLoss with positive weights, unknown labels masked, ten steps of SGD.
  @Test(arguments: [64, 7])
  func tenStepsFollowPyTorch(batch: Int) throws {
    let plan = DensePlan(inputs: test.inputs, classes: test.classes, batch: batch)
    try plan.importParameters(test.start)
    var configuration = TrainerConfiguration(
      epochs: test.losses.count, batchSize: test.rows.count,
      optimizer: OptimizerConfiguration(rule: .sgd(momentum: test.momentum, nesterov: false)),
      schedule: .constant)
    configuration.optimizer.weightDecay = .l2(0)
    let trainer = try Trainer(
      configuration, plan: plan, rates: LearningRates(test.rate), training: test.source,
      loss: SigmoidCrossEntropy(positiveWeights: test.positiveWeights))
    let history = try trainer.run().history
    expectClose(history.map(\.trainLoss), test.losses, relative: 1e-5, absolute: 1e-6)
    let after = plan.exportParameters()
    expectClose(
      try after.tensor("fc.weight").elements.map { $0 }, test.weightAfter, relative: 1e-4,
      absolute: 1e-5)
    expectClose(
      try after.tensor("fc.bias").elements.map { $0 }, test.biasAfter, relative: 1e-4,
      absolute: 1e-5)
  }

  @Test func averagePrecisionIsScikitLearns() throws {
    let scores = Tensor(test.scores, shape: [test.rows.count, test.classes])
    let thresholds = [Float](repeating: 0.4, count: test.classes)
    let result = try Evaluation(
      split: "test", classNames: (0..<test.classes).map { "c\($0)" }, probabilities: scores,
      targets: test.rows, thresholds: thresholds)
    expectClose(
      result.perClass.map { $0.averagePrecision ?? .nan }, test.averagePrecision, relative: 1e-12,
      absolute: 0)
    let mean = test.averagePrecision.reduce(0, +) / Double(test.classes)
    expectClose([result.meanAveragePrecision ?? .nan], [mean], relative: 1e-12, absolute: 0)
    expectClose(result.perClass.map(\.f1), test.f1AtFourTenths, relative: 1e-12, absolute: 0)
    #expect(result.perClass.map { $0.counts?.known } == test.rows.knownCounts)
    let data = try JSONEncoder().encode(result)
    #expect(try JSONDecoder().decode(Evaluation.self, from: data) == result)
    #expect(result.matrix == nil && result.severalLabels)
  }

  /// OneVsRestClassifier(LogisticRegression(C)), each class on the samples whose label is known.
  @Test func oneRegressionAClassIsScikitLearns() throws {
    let solver = LogisticRegression(
      regularization: .inverseStrength(test.strength), standardizes: false, tolerance: 1e-8)
    let model = try solver.fit(test.source, classes: test.classes)
    expectClose(Array(model.weight.elements), test.logisticWeight, relative: 1e-3, absolute: 1e-4)
    expectClose(Array(model.bias.elements), test.logisticBias, relative: 1e-3, absolute: 1e-4)
    let chosen = try LogisticRegression().fit(test.source, classes: test.classes)
    #expect(chosen.trials.count >= 3 && chosen.isConverged)
  }

  @Test func whatIsUnknownCostsNothing() {
    let logits: [Float] = [1, -2, 0.5, 3]
    let targets: [Float] = [1, .nan, 0, .nan]
    var gradient = [Float](repeating: .nan, count: 4)
    let total = logits.withUnsafeBufferPointer { logits in
      targets.withUnsafeBufferPointer { targets in
        gradient.withUnsafeMutableBufferPointer {
          SigmoidCrossEntropy().evaluate(
            logits, classes: 2, targets: .probabilities(targets), divisor: 2, gradient: $0)
        }
      }
    }
    #expect(total.weight == 2)
    let expected = log1p(exp(-1.0)) + 0.5 + log1p(exp(-0.5))
    expectClose([total.sum], [expected], relative: 1e-12)
    #expect(gradient[1] == 0 && gradient[3] == 0 && gradient[0] < 0 && gradient[2] > 0)
  }

  /// A label mixed with an unknown one is unknown.
  @Test func mixingKeepsSharesAndTheUnknown() {
    let draw = MixingDraw(pairs: [
      .init(partner: 1, fraction: 0.75), .init(partner: 0, fraction: 0.5),
    ])
    var rows: [Float] = [1, 0, .nan, 0, 1, 1]
    rows.withUnsafeMutableBufferPointer { draw.mixTargets($0, width: 3) }
    #expect(rows[0] == 0.75 && rows[1] == 0.25 && rows[2].isNaN)
    #expect(rows[3] == 0.5 && rows[4] == 0.5 && rows[5].isNaN)
  }

  @Test func mixedTrainingOfSeveralLabelsRuns() throws {
    let plan = DensePlan(inputs: test.inputs, classes: test.classes, batch: 16)
    let trainer = try Trainer(
      TrainerConfiguration(epochs: 3, batchSize: 16, mixing: BatchMixing(.mixup, alpha: 0.4)),
      plan: plan, rates: LearningRates(0.1), training: test.source, validation: test.source,
      loss: SigmoidCrossEntropy())
    let history = try trainer.run().history
    let (first, last) = (history[0].validLoss ?? 0, history[2].validLoss ?? 0)
    #expect(last < first && last.isFinite)
  }

  @Test func weightsEvenOutBothSides() {
    let rows = TargetRows([1, 0, 0, 0, .nan, 0, 0, 0, 1, 1, 0, 0], classes: 3)
    #expect(rows.positives == [2, 0, 1] && rows.negatives == [2, 3, 3])
    #expect(rows.positiveWeights(.balanced) == [1, 1, 3])
    #expect(rows.positiveWeights(.squareRoot) == [1, 1, Float(3.0.squareRoot())])
    #expect(rows.coOccurrence == [[2, 0, 0], [0, 0, 0], [0, 0, 1]])
  }
}

extension TargetRows {
  fileprivate var knownCounts: [Int?] { zip(positives, negatives).map { $0 + $1 } }
}

@Suite struct LabelThresholdTests {
  private func chosen(_ scores: [Float], _ labels: [Bool]) -> Float {
    LabelThresholds.chosen(
      Tensor(scores, shape: [scores.count, 1]),
      TargetRows(labels.map { $0 ? 1 : 0 }, classes: 1))[0]
  }

  /// Every other threshold has a lower F1, or an equal one farther from a half.
  @Test func noThresholdIsBetter() {
    var stream = RandomStream(seed: 5, purpose: .procedural, epoch: 0, sample: 0)
    for _ in 0..<20 {
      let labels = (0..<40).map { $0 % 4 == 0 }
      let scores = labels.map { Float((stream.uniform() * 20).rounded() / 20 * ($0 ? 1 : 0.7)) }
      let best = chosen(scores, labels)
      func f1(_ threshold: Float) -> Double {
        BinaryCounts(scores: scores, isPositive: labels, threshold: threshold).f1 ?? 0
      }
      for step in 0...100 { #expect(f1(best) >= f1(Float(step) / 100), "\(best) \(step)") }
    }
  }

  @Test func aHalfStaysWhereItIsAsGoodAsAny() {
    #expect(
      chosen([0.9, 0.8, 0.7, 0.2, 0.1, 0.3], [true, true, true, false, false, false]) == 0.5)
    let low = chosen([0.3, 0.25, 0.2, 0.1, 0.05, 0.01], [true, true, true, false, false, false])
    #expect(abs(low - 0.15) < 1e-6)
    #expect(
      chosen([0.3, 0.2, 0.1, 0.05, 0.01], [true, true, false, false, false]) == 0.5,
      "two photos say nothing")
  }
}

@Suite struct AveragePrecisionTests {
  @Test func tiesAreOneStepAndNoPositivesNothing() {
    #expect(RankingMetrics.averagePrecision(scores: [0.5, 0.5], isPositive: [true, false]) == 0.5)
    #expect(RankingMetrics.averagePrecision(scores: [0.5], isPositive: [false]) == nil)
    let mixed = RankingMetrics.averagePrecision(
      scores: [0.9, 0.8, 0.7], isPositive: [true, false, true])
    let expected = (1 + 2.0 / 3) / 2
    #expect(mixed == expected)
  }
}
