// SPDX-License-Identifier: Apache-2.0

import Foundation
import Testing
import ThawTraining

@Suite struct ConfusionMatrixTests {
  private static let small = ConfusionMatrix(
    classNames: ["cat", "dog", "owl"], counts: [[8, 2, 0], [1, 9, 0], [0, 0, 0]])

  @Test func metricsFollowTheirDefinitions() {
    let metrics = Self.small.classMetrics
    #expect(metrics[0].recall == 0.8 && metrics[0].precision == 8.0 / 9)
    #expect(metrics[0].f1 == 16.0 / 19 && metrics[0].count == 10)
    #expect(Self.small.correct == 17 && Self.small.total == 20)
    #expect(Self.small.accuracy == 0.85 && Self.small.present == [0, 1])
  }

  @Test func aMetricIsUndefinedWhereItsDenominatorIsZero() {
    // The owl neither occurs nor is predicted; the fox occurs and is never predicted; the hen is
    // predicted and never occurs.
    let matrix = ConfusionMatrix(
      classNames: ["cat", "owl", "fox", "hen"],
      counts: [[4, 0, 0, 1], [0, 0, 0, 0], [3, 0, 0, 0], [0, 0, 0, 0]])
    let (owl, fox, hen) = (
      matrix.classMetrics[1], matrix.classMetrics[2], matrix.classMetrics[3]
    )
    #expect(owl.precision == nil && owl.recall == nil && owl.f1 == nil)
    #expect(fox.precision == nil && fox.recall == 0 && fox.f1 == 0)
    #expect(hen.precision == 0 && hen.recall == nil && hen.f1 == 0)
    // 2 * 4 / (5 + 7), 0 and 0 of three classes.
    #expect(abs((matrix.macroF1 ?? .nan) - 2.0 / 9) < 1e-12)
    let empty = ConfusionMatrix(classNames: ["cat"], counts: [[0]])
    #expect(empty.accuracy == nil && empty.macroF1 == nil)
  }

  @Test func pairsOfLabelsAreCounted() {
    let matrix = ConfusionMatrix(
      classNames: ["a", "b"], labels: [0, 0, 1, 1], predictions: [0, 1, 1, 1])
    #expect(matrix.counts == [[1, 1], [0, 2]])
    #expect(matrix.actual(0) == 2 && matrix.predicted(0) == 1)
  }

  @Test func restrictingMovesRowsAndColumns() {
    let moved = Self.small.restricted(to: [1, 2, 0])
    #expect(moved.classNames == ["dog", "owl", "cat"])
    #expect(moved.counts == [[9, 0, 1], [0, 0, 0], [2, 0, 8]])
    #expect(Self.small.restricted(to: [1]).counts == [[9]])
  }

  @Test func confusionsAreSortedByCount() {
    let pairs = Self.small.confusions(limit: 5)
    #expect(pairs.map(\.count) == [2, 1])
    #expect(pairs[0].truth == 0 && pairs[0].predicted == 1 && pairs[0].share == 0.2)
    #expect(Self.small.confusions(limit: 1).count == 1)
  }

  @Test(arguments: [
    "[[1, 0]]", "[[1, 0], [0]]", "[[2, -1], [0, 1]]", "[[1, 0], [0, 0]]", "[]",
    "[[9223372036854775807, 1], [0, 0]]",
  ])
  func aDocumentWithAnImpossibleMatrixIsRefused(confusion: String) throws {
    func document(_ confusion: String) -> Data {
      let rows = ["a", "b"].map {
        #"{"name": "\#($0)", "count": 1, "precision": 1, "recall": 1, "f1": 1}"#
      }
      return Data(
        """
        {"split": "test", "count": 2, "accuracy": 1, "loss": 0.1, "macro_f1": 1, "auc": null,
        "per_class": [\(rows.joined(separator: ","))], "confusion": \(confusion)}
        """.utf8)
    }
    let good = try JSONDecoder().decode(Evaluation.self, from: document("[[1, 0], [0, 1]]"))
    #expect(good.correct == 2 && good.matrix?.classNames == ["a", "b"])
    #expect(throws: DecodingError.self) {
      try JSONDecoder().decode(Evaluation.self, from: document(confusion))
    }
  }
}
