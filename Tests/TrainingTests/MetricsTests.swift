// SPDX-License-Identifier: Apache-2.0

import Foundation
import Testing
import ThawTensors
import ThawTestSupport
import ThawTraining

private struct MetricCase: Decodable {
  let name: String
  let classes: Int
  let probabilities: [Float]
  let labels: [Int]
  let accuracy: Double
  let loss: Double
  let macroF1: Double
  let auc: Double
  let precision: [Double]
  let recall: [Double]
  let f1: [Double]
  let confusion: [[Int]]
  let top2: Double

  var tensor: Tensor<Float> { Tensor(probabilities, shape: [labels.count, classes]) }
  var names: [String] { (0..<classes).map { "class \($0)" } }
}

@Suite struct EvaluationTests {
  /// scikit-learn 1.9: four classes, one absent, one neither present nor predicted, two with ties.
  @Test func agreesWithScikitLearn() throws {
    let cases = try golden("metrics", as: [MetricCase].self)
    #expect(cases.count == 4)
    for test in cases {
      let result = try Evaluation(
        split: "valid", classNames: test.names, probabilities: test.tensor, labels: test.labels)
      #expect(result.count == test.labels.count)
      #expect(result.confusion == test.confusion, "\(test.name)")
      expectClose(
        [result.accuracy, result.loss, result.macroF1, result.auc ?? .nan],
        [test.accuracy, test.loss, test.macroF1, test.auc], relative: 1e-6, test.name)
      expectClose(result.perClass.map(\.precision), test.precision, "precision")
      expectClose(result.perClass.map(\.recall), test.recall, "recall")
      expectClose(result.perClass.map(\.f1), test.f1, "f1")
      #expect(result.perClass.map(\.count) == test.confusion.map { $0.reduce(0, +) })
      let top2 = RankingMetrics.topAccuracy(2, scores: test.tensor, labels: test.labels)
      #expect(abs(top2 - test.top2) < 1e-12, "\(test.name)")
    }
  }

  @Test func documentHasExactlyTheAgreedKeys() throws {
    let result = try Evaluation(
      split: "test", classNames: ["ant", "bee"],
      probabilities: Tensor([0.9, 0.1, 0.2, 0.8], shape: [2, 2]), labels: [0, 0])
    let data = try JSONEncoder().encode(result)
    let json = try #require(JSONSerialization.jsonObject(with: data) as? [String: Any])
    #expect(
      Set(json.keys) == [
        "split", "count", "accuracy", "loss", "macro_f1", "auc", "per_class", "confusion",
      ])
    #expect(json["auc"] is NSNull)
    let first = try #require((json["per_class"] as? [[String: Any]])?.first)
    #expect(Set(first.keys) == ["name", "count", "precision", "recall", "f1"])
    #expect(try JSONDecoder().decode(Evaluation.self, from: data) == result)
  }

  @Test func logitsAndTheirSoftmaxAreJudgedAlike() throws {
    let logits = Tensor<Float>([2, 1, 0, -1, 3, 0.5, 0, 0, 1], shape: [3, 3])
    let names = ["a", "b", "c"]
    let first = try Evaluation(split: "x", classNames: names, logits: logits, labels: [0, 1, 1])
    let second = try Evaluation(
      split: "x", classNames: names, probabilities: Probabilities.softmax(logits),
      labels: [0, 1, 1])
    #expect(first.confusion == second.confusion)
    #expect(abs(first.loss - second.loss) < 1e-6)
    #expect(first.auc == second.auc)
  }

  @Test func lossOfLogitsIsExactWhereProbabilitiesVanish() throws {
    let logits = Tensor<Float>([200, 0], shape: [1, 2])
    let exact = try Evaluation(split: "x", classNames: ["a", "b"], logits: logits, labels: [1])
    #expect(exact.loss == 200)
    let capped = try Evaluation(
      split: "x", classNames: ["a", "b"], probabilities: Probabilities.softmax(logits), labels: [1])
    #expect(abs(capped.loss - 27.631) < 1e-3)
  }

  @Test func emptyAndBrokenInputsAreErrors() {
    #expect(throws: TrainingError.noSamples(split: "test")) {
      try Evaluation(split: "test", classNames: ["a"], logits: Tensor(zeros: [0, 1]), labels: [])
    }
    #expect(throws: TrainingError.nonFinite(what: "the logits", sample: 1)) {
      try Evaluation(
        split: "test", classNames: ["a", "b"], logits: Tensor([1, 2, 3, .nan], shape: [2, 2]),
        labels: [0, 1])
    }
  }
}

@Suite struct RankingMetricsTests {
  @Test func areaCountsTiesHalf() {
    // Pairs (positive, negative): 0.8 over both, 0.5 over 0.2 and level with 0.5: 3.5 of 4.
    #expect(
      RankingMetrics.areaUnderCurve(
        scores: [0.8, 0.5, 0.5, 0.2], isPositive: [true, true, false, false]) == 0.875)
    #expect(
      RankingMetrics.areaUnderCurve(scores: [1, 1, 1], isPositive: [true, false, true]) == 0.5)
    #expect(RankingMetrics.areaUnderCurve(scores: [1, 2], isPositive: [true, true]) == nil)
    #expect(RankingMetrics.areaUnderCurve(scores: [], isPositive: []) == nil)
  }

  @Test func topAccuracyBreaksTiesInClassOrder() {
    let scores = Tensor<Float>([1, 1, 1, 1, 1, 1], shape: [2, 3])
    #expect(RankingMetrics.topAccuracy(1, scores: scores, labels: [0, 1]) == 0.5)
    #expect(RankingMetrics.topAccuracy(2, scores: scores, labels: [1, 2]) == 0.5)
    #expect(RankingMetrics.topAccuracy(9, scores: scores, labels: [1, 2]) == 1)
  }
}

@Suite struct WilsonIntervalTests {
  /// statsmodels' `proportion_confint(method="wilson")` of 8 of 10, 0 of 10 and 145 of 153.
  @Test func intervalsOfSmallSamples() {
    // Newcombe 1998, table I: 81 of 263 gives 0.2553 to 0.3662.
    let usual = WilsonInterval.interval(successes: 81, trials: 263)
    #expect(abs(usual.lowerBound - 0.2553) < 5e-5 && abs(usual.upperBound - 0.3662) < 5e-5)
    let some = WilsonInterval.interval(successes: 8, trials: 10)
    expectClose([some.lowerBound, some.upperBound], [0.4901625, 0.9433178])
    let none = WilsonInterval.interval(successes: 0, trials: 10)
    expectClose([none.lowerBound, none.upperBound], [0, 0.2775328])
    let many = WilsonInterval.interval(successes: 145, trials: 153)
    expectClose([many.lowerBound, many.upperBound], [0.9002102, 0.9732628], absolute: 1e-4)
    #expect(WilsonInterval.interval(successes: 0, trials: 0) == 0...1)
    #expect(WilsonInterval.interval(successes: 3, trials: 3).upperBound == 1)
  }
}

@Suite struct ProbabilitiesTests {
  @Test func viewsAreAveragedAsProbabilities() {
    let views = [
      Tensor<Float>([1, 0], shape: [1, 2]), Tensor<Float>([0.2, 0.8], shape: [1, 2]),
    ]
    expectClose(Probabilities.mean(of: views).elements, [0.6, 0.4])
  }

  /// fastai v2 `tta(beta=0.25)`: a quarter clean, three quarters augmented.
  @Test func blendGivesAQuarterToTheCleanView() {
    let clean = Tensor<Float>([1, 0], shape: [1, 2])
    let augmented = [
      Tensor<Float>([0, 1], shape: [1, 2]), Tensor<Float>([0.4, 0.6], shape: [1, 2]),
    ]
    expectClose(Probabilities.blend(clean: clean, augmented: augmented).elements, [0.4, 0.6])
    expectClose(
      Probabilities.blend(clean: clean, augmented: augmented, beta: 1).elements, [1, 0])
    #expect(Probabilities.blend(clean: clean, augmented: []) == clean)
  }

  @Test func softmaxIsStableAndPredictionsTakeTheFirstOfEquals() {
    let logits = Tensor<Float>([1e30, 1e30, -1e30, 0, 1, 1], shape: [2, 3])
    expectClose(
      Probabilities.softmax(logits).elements, [0.5, 0.5, 0, 0.1553624, 0.4223188, 0.4223188])
    #expect(Probabilities.predictions(logits) == [0, 1])
  }
}
