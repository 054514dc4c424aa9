// SPDX-License-Identifier: Apache-2.0

/// How often each class was taken for each other one.
package struct ConfusionTable: Sendable, Hashable {
  /// Class names, in the model's order.
  package let classNames: [String]
  /// Photos, `[true][predicted]`.
  package let counts: [[Int]]

  /// A matrix of at least one class; every row is as long as `classNames` and holds no negatives.
  package init(classNames: [String], counts: [[Int]]) {
    precondition(!classNames.isEmpty, "A confusion matrix needs at least one class.")
    precondition(
      counts.count == classNames.count && counts.allSatisfy { $0.count == classNames.count },
      "A confusion matrix of \(classNames.count) classes has as many rows and columns.")
    precondition(
      counts.allSatisfy { $0.allSatisfy { $0 >= 0 } }, "A confusion matrix holds no negatives.")
    self.classNames = classNames
    self.counts = counts
  }

  /// Precision, recall and F1 of one class.
  package struct ClassMetrics: Sendable, Hashable {
    /// The class.
    package let name: String
    /// Photos that are of it.
    package let count: Int
    /// Share of the photos predicted as the class that are of it; NaN when none was predicted.
    package let precision: Double
    /// Share of the class's photos that were predicted as it; NaN when there are none.
    package let recall: Double
    /// Harmonic mean of the two; 0 when nothing was right, NaN for a class without photos.
    package let f1: Double

    /// Metrics computed elsewhere.
    package init(name: String, count: Int, precision: Double, recall: Double, f1: Double) {
      self.name = name
      self.count = count
      self.precision = precision
      self.recall = recall
      self.f1 = f1
    }
  }

  /// One kind of mistake.
  package struct Confusion: Sendable, Hashable {
    /// Index of the true class.
    package let truth: Int
    /// Index of the predicted class.
    package let predicted: Int
    /// Photos.
    package let count: Int
    /// Their share of the true class.
    package let share: Double
  }

  /// Photos in the matrix.
  package var total: Int { counts.reduce(0) { $0 + $1.reduce(0, +) } }

  /// Photos on the diagonal.
  package var correct: Int { counts.indices.reduce(0) { $0 + counts[$1][$1] } }

  /// Metrics of each class, in the model's order.
  package var classMetrics: [ClassMetrics] {
    classNames.indices.map { index in
      let count = counts[index].reduce(0, +)
      let predicted = counts.reduce(0) { $0 + $1[index] }
      let hits = Double(counts[index][index])
      return ClassMetrics(
        name: classNames[index], count: count,
        precision: predicted == 0 ? .nan : hits / Double(predicted),
        recall: count == 0 ? .nan : hits / Double(count),
        f1: count == 0 ? .nan : 2 * hits / Double(count + predicted))
    }
  }

  /// The same matrix with the classes in another order.
  ///
  /// - Parameter order: a permutation of the class indices, such as ``seriation``.
  package func reordered(_ order: [Int]) -> ConfusionTable {
    precondition(
      order.sorted() == Array(classNames.indices), "The order is a permutation of the classes.")
    return ConfusionTable(
      classNames: order.map { classNames[$0] },
      counts: order.map { row in order.map { counts[row][$0] } })
  }

  /// An order in which confused classes are neighbours; see ``Seriation/order(_:)``.
  package var seriation: [Int] { Seriation.order(counts.map { $0.map(Double.init) }) }

  /// The mistakes that happened, most frequent first, then by share, then in class order.
  package func confusions(limit: Int) -> [Confusion] {
    let all = counts.indices.flatMap { row -> [Confusion] in
      let total = max(counts[row].reduce(0, +), 1)
      return counts.indices.filter { $0 != row && counts[row][$0] > 0 }.map {
        Confusion(
          truth: row, predicted: $0, count: counts[row][$0],
          share: Double(counts[row][$0]) / Double(total))
      }
    }
    let sorted = all.sorted {
      ($1.count, $1.share, $0.truth, $0.predicted) < ($0.count, $0.share, $1.truth, $1.predicted)
    }
    return Array(sorted.prefix(max(limit, 0)))
  }
}
