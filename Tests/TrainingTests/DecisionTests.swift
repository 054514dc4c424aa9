// SPDX-License-Identifier: Apache-2.0

import Foundation
import Testing
import ThawDatasets
import ThawTensors
import ThawTraining

/// Thresholds of one label, what is chosen, and costs.
struct DecisionTests {
  @Test func aHighThresholdKeepsDoubtfulAnswersBack() {
    let rule = DecisionRule([0.9, 0, 0])
    #expect(rule.answer([0.95, 0.03, 0.02] as [Float]) == 0)
    #expect(rule.answer([0.9, 0.05, 0.05] as [Float]) == 0)
    // The most probable class misses its threshold; the second is no answer either.
    #expect(rule.answer([0.7, 0.2, 0.1] as [Float]) == nil)
    #expect(rule.answer([0.3, 0.6, 0.1] as [Float]) == 1)
  }

  @Test func aLowThresholdGivesItsAnswerAlthoughAnotherIsMoreProbable() {
    let rule = DecisionRule([0, 0.1, 0.2])
    #expect(rule.answer([0.85, 0.15, 0] as [Float]) == 1)
    #expect(rule.answer([0.95, 0.05, 0] as [Float]) == 0)
    // Of two the one that is furthest above.
    #expect(rule.answer([0.3, 0.2, 0.5] as [Float]) == 2)
    #expect(rule.answer([0.3, 0.35, 0.35] as [Float]) == 1)
  }

  @Test func withoutThresholdsTheFirstOfTheMostProbableIsTheAnswer() {
    let rule = DecisionRule([0, 0, 0])
    #expect(!rule.hasThresholds)
    #expect(rule.answer([0.2, 0.4, 0.4] as [Float]) == 1)
  }

  private let scores: [Float] = [0.95, 0.9, 0.8, 0.7, 0.6, 0.4, 0.3, 0.2, 0.1, 0.05]
  private let isPositive = [true, true, true, false, true, true, false, false, false, false]

  private func choose(
    _ measure: ChosenThreshold.Measure, _ wanted: Double
  ) throws -> ChosenThreshold {
    try ChosenThreshold(
      name: "cat", measure, of: wanted, scores: scores, isPositive: isPositive, split: "valid",
      look: "one look")
  }

  @Test func aWantedPrecisionIsKeptWithTheHighestRecall() throws {
    let strict = try choose(.precision, 0.9)
    #expect(strict.threshold == 0.75 && strict.precision == 1 && strict.recall == 0.6)
    let loose = try choose(.precision, 0.8)
    // 5 of 6 are right when all five are found.
    #expect(abs(loose.threshold - 0.35) < 1e-6 && loose.recall == 1)
    #expect(abs((loose.precision ?? 0) - 5.0 / 6) < 1e-12)
    let interval = try #require(loose.precisionInterval)
    // Wilson's interval of 5 in 6.
    #expect(abs(interval[0] - 0.4365) < 1e-3 && abs(interval[1] - 0.9699) < 1e-3)
    #expect(loose.isUncertain && loose.count == 10 && loose.positives == 5)
  }

  @Test func aWantedRecallIsKeptWithTheHighestPrecision() throws {
    let half = try choose(.recall, 0.5)
    #expect(half.threshold == 0.75 && half.recall == 0.6 && half.precision == 1)
    let all = try choose(.recall, 1)
    #expect(abs(all.threshold - 0.35) < 1e-6 && all.recall == 1)
  }

  @Test func whatCannotBeKeptIsSaid() {
    let failure = #expect(throws: ChosenThreshold.Failure.self) {
      try ChosenThreshold(
        name: "cat", .precision, of: 0.99, scores: [0.9, 0.8, 0.7, 0.6, 0.5, 0.4],
        isPositive: [false, true, true, true, false, false], split: "valid", look: "one look")
    }
    #expect(failure?.reason.contains("highest precision is 0.75 (3 of 4)") == true)
    let few = #expect(throws: ChosenThreshold.Failure.self) {
      try ChosenThreshold(
        name: "cat", .recall, of: 0.5, scores: [0.9, 0.8, 0.7], isPositive: [true, true, false],
        split: "valid", look: "one look")
    }
    #expect(few?.reason.contains("2 of 3 valid photos are 'cat'") == true)
  }

  @Test func undecidedSamplesHaveTheirColumn() {
    let probabilities = Tensor<Float>(
      [0.95, 0.05, 0.6, 0.4, 0.2, 0.8, 0.9, 0.1], shape: [4, 2])
    let result = DecisionResult(
      DecisionRule([0.9, 0]), probabilities, labels: [0, 0, 1, 1], classNames: ["a", "b"])
    #expect(result.confusion == [[1, 0, 1], [1, 1, 0]])
    #expect(result.undecided == 1 && result.correct == 2 && result.count == 4)
    #expect(result.accuracyOfAnswered == 2.0 / 3)
    #expect(result.perClass[0].precision == 0.5 && result.perClass[1].recall == 0.5)
  }

  @Test func aCurveEndsWhereAllAreFound() throws {
    let probabilities = Tensor(scores.flatMap { [$0, 1 - $0] }, shape: [10, 2])
    let labels = isPositive.map { $0 ? 0 : 1 }
    var evaluation = try Evaluation(
      split: "valid", classNames: ["cat", "dog"], probabilities: probabilities, labels: labels)
    #expect(evaluation.curves.isEmpty)
    evaluation.drawCurves(probabilities, .single(labels))
    let curve = try #require(evaluation.curves.first)
    #expect(curve.name == "cat" && curve.positives == 5 && curve.points.count == 6)
    #expect(curve.points[0].precision == 1 && curve.points[0].recall == 0.2)
    #expect(curve.points[5].recall == 1 && abs(curve.points[5].precision - 5.0 / 6) < 1e-12)
    let again = try JSONDecoder().decode(Evaluation.self, from: JSONEncoder().encode(evaluation))
    #expect(again == evaluation)
  }

  // MARK: Costs

  private let table = "label;good;bad;undecided\nbad;10;0;1\ngood;0;1;0.5\n"

  @Test func costsAreMatchedByNameAndDecide() throws {
    let costs = try CostMatrix(table: table, classNames: ["bad", "good"])
    #expect(costs.costs == [[0, 10], [1, 0]] && costs.undecided == [1, 0.5])
    // good: 0.05 * 10 = 0.5; bad: 0.95; undecided: 0.525.
    #expect(costs.cheapest([0.05, 0.95] as [Float]) == 1)
    // good: 1; bad: 0.9; undecided: 0.55.
    #expect(costs.cheapest([0.1, 0.9] as [Float]) == nil)
    #expect(costs.cheapest([0.7, 0.3] as [Float]) == 0)
    let result = CostResult(
      costs, Tensor([0.05, 0.95, 0.1, 0.9, 0.3, 0.7, 0.9, 0.1], shape: [4, 2]),
      labels: [1, 0, 0, 0])
    // Most probable: good, good (10), good (10), bad. Cheapest: good, nothing (1), nothing or bad, bad.
    #expect(result.mostProbable.mean == 5)
    #expect(result.cheapest.mean < 0.6 && result.saving.mean > 4.4)
    #expect(result.answers.confusion[0][1] == 0)
  }

  @Test(arguments: [
    ("label,bad\nbad,0\n", "no column for the class 'good'"),
    ("label,bad,good,ugly\nbad,0,1,2\ngood,1,0,2\n", "a column for 'ugly'"),
    ("label,bad,good\nbad,0,1\n", "no row for the class 'good'"),
    ("label,bad,good\nbad,0,1\ngood,much,0\n", "is 'much', expected a number"),
    ("label,bad,good\nbad,0,1\ngood,1\n", "has 2 cells, the first row has 3"),
    ("label,bad,good\nbad,0,1\nbad,0,1\ngood,1,0\n", "several rows for 'bad'"),
    ("", "is empty"),
  ])
  func anotherTableIsRefused(_ table: String, _ reason: String) {
    let flaw = #expect(throws: LabelTableFlaw.self) {
      try CostMatrix(table: table, classNames: ["bad", "good"])
    }
    #expect(flaw?.problem.contains(reason) == true, "\(flaw?.problem ?? "")")
  }
}
