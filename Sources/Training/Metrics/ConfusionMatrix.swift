// SPDX-License-Identifier: Apache-2.0

/// How often each class was taken for which: rows are true classes, columns predicted ones.
///
/// A metric is a quotient of two counts and undefined where the lower one is 0: nothing was taken
/// for the class, or it has no samples. It is nil here, and never NaN or a made-up number. What is
/// made of that is decided at the borders: people are shown a dash, the document of ``Evaluation``
/// keeps 0 in its place, as scikit-learn's `zero_division=0` does, and a mean over classes leaves
/// it out.
package struct ConfusionMatrix: Sendable, Hashable {
  /// The classes, in the model's order; at least one.
  package let classNames: [String]
  /// Samples, `[true][predicted]`.
  package let counts: [[Int]]

  /// Takes counts: square, one row and column a class, none negative; traps otherwise.
  package init(classNames: [String], counts: [[Int]]) {
    precondition(!classNames.isEmpty, "A confusion matrix needs a class.")
    precondition(
      ConfusionMatrix.isPossible(counts, classes: classNames.count),
      "A confusion matrix of \(classNames.count) classes has as many rows and columns of counts.")
    self.classNames = classNames
    self.counts = counts
  }

  /// Counts pairs of labels; traps when the numbers differ or a label is no index of a class.
  package init(classNames: [String], labels: [Int], predictions: [Int]) {
    precondition(
      labels.count == predictions.count,
      "\(predictions.count) predictions for \(labels.count) labels.")
    let classes = classNames.count
    var counts = [[Int]](repeating: [Int](repeating: 0, count: classes), count: classes)
    for (label, prediction) in zip(labels, predictions) {
      precondition(
        label >= 0 && label < classes && prediction >= 0 && prediction < classes,
        "Labels \(label) and \(prediction) must be in 0..<\(classes).")
      counts[label][prediction] += 1
    }
    self.init(classNames: classNames, counts: counts)
  }

  /// Whether `counts` are a matrix of `classes` classes: square, without negatives.
  static func isPossible(_ counts: [[Int]], classes: Int) -> Bool {
    counts.count == classes
      && counts.allSatisfy { $0.count == classes && $0.allSatisfy { $0 >= 0 } }
  }

  /// Number of samples.
  package var total: Int { counts.reduce(0) { $0 + $1.reduce(0, +) } }

  /// Samples whose prediction is right.
  package var correct: Int { counts.indices.reduce(0) { $0 + counts[$1][$1] } }

  /// Samples of class `index`.
  package func actual(_ index: Int) -> Int { counts[index].reduce(0, +) }

  /// Samples taken for class `index`.
  package func predicted(_ index: Int) -> Int { counts.reduce(0) { $0 + $1[index] } }
}

extension ConfusionMatrix {
  /// The numbers of one class; nil where undefined.
  package struct ClassMetrics: Sendable, Hashable {
    /// The class.
    package let name: String
    /// Its samples.
    package let count: Int
    /// Share of what was taken for the class that is it; nil when nothing was.
    package let precision: Double?
    /// Share of the class that was found; nil when it has no samples.
    package let recall: Double?
    /// 2 * right / (samples + predictions), the harmonic mean of the two; nil when the class
    /// neither occurs nor is predicted.
    package let f1: Double?
  }

  /// The numbers of each class, in the model's order.
  package var classMetrics: [ClassMetrics] {
    classNames.indices.map { index in
      let (actual, predicted) = (actual(index), predicted(index))
      let right = counts[index][index]
      return ClassMetrics(
        name: classNames[index], count: actual, precision: quotient(right, predicted),
        recall: quotient(right, actual), f1: quotient(2 * right, actual + predicted))
    }
  }

  /// Share of right predictions; nil without samples.
  package var accuracy: Double? { quotient(correct, total) }

  /// Mean F1 of the classes that occur or are predicted; nil when there are none.
  ///
  /// - Source: scikit-learn's `f1_score(average="macro", zero_division=0)` with its default labels.
  package var macroF1: Double? {
    let defined = classMetrics.compactMap(\.f1)
    return defined.isEmpty ? nil : defined.reduce(0, +) / Double(defined.count)
  }

  private func quotient(_ part: Int, _ whole: Int) -> Double? {
    whole == 0 ? nil : Double(part) / Double(whole)
  }
}

extension ConfusionMatrix {
  /// One kind of mistake.
  package struct Confusion: Sendable, Hashable {
    /// Index of the true class.
    package let truth: Int
    /// Index of the predicted class.
    package let predicted: Int
    /// Samples.
    package let count: Int
    /// Their share of the true class.
    package let share: Double
  }

  /// The mistakes that happened, most frequent first, then by share, then in class order.
  package func confusions(limit: Int) -> [Confusion] {
    let all = counts.indices.flatMap { row -> [Confusion] in
      let total = max(actual(row), 1)
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

  /// The matrix of some of the classes, or of all in another order.
  ///
  /// - Parameter chosen: different indices of classes, at least one.
  package func restricted(to chosen: [Int]) -> ConfusionMatrix {
    precondition(
      Set(chosen).count == chosen.count && chosen.allSatisfy(classNames.indices.contains),
      "Classes are chosen by different indices in 0..<\(classNames.count).")
    return ConfusionMatrix(
      classNames: chosen.map { classNames[$0] },
      counts: chosen.map { row in chosen.map { counts[row][$0] } })
  }

  /// The classes that occur or are predicted, in the model's order.
  package var present: [Int] { classNames.indices.filter { actual($0) + predicted($0) > 0 } }
}
