// SPDX-License-Identifier: Apache-2.0

/// How often each class was taken for which: rows are true classes, columns predicted ones.
package struct ConfusionMatrix: Sendable, Equatable {
  /// Number of classes.
  package let classes: Int
  /// [true][predicted] counts.
  package private(set) var counts: [[Int]]

  /// An empty matrix.
  package init(classes: Int) {
    precondition(classes > 0, "A confusion matrix needs a class.")
    self.classes = classes
    counts = [[Int]](repeating: [Int](repeating: 0, count: classes), count: classes)
  }

  /// Counts pairs of labels; traps when the counts differ or a label is outside `0..<classes`.
  package init(labels: [Int], predictions: [Int], classes: Int) {
    self.init(classes: classes)
    precondition(
      labels.count == predictions.count,
      "\(predictions.count) predictions for \(labels.count) labels.")
    for (label, prediction) in zip(labels, predictions) {
      add(label: label, prediction: prediction)
    }
  }

  /// Counts one sample; traps outside `0..<classes`.
  package mutating func add(label: Int, prediction: Int) {
    precondition(
      label >= 0 && label < classes && prediction >= 0 && prediction < classes,
      "Labels \(label) and \(prediction) must be in 0..<\(classes).")
    counts[label][prediction] += 1
  }

  /// Number of samples.
  package var total: Int { counts.reduce(0) { $0 + $1.reduce(0, +) } }
  /// Samples whose prediction is right.
  package var correct: Int { (0..<classes).reduce(0) { $0 + counts[$1][$1] } }
  /// `correct / total`; 0 without samples.
  package var accuracy: Double { ratio(correct, total) }
  /// Samples of class `index`.
  package func actual(_ index: Int) -> Int { counts[index].reduce(0, +) }
  /// Samples taken for class `index`.
  package func predicted(_ index: Int) -> Int { counts.reduce(0) { $0 + $1[index] } }

  /// Share of what was taken for the class that is it; 0 when nothing was.
  package func precision(_ index: Int) -> Double { ratio(counts[index][index], predicted(index)) }
  /// Share of the class that was found; 0 when it has no samples.
  package func recall(_ index: Int) -> Double { ratio(counts[index][index], actual(index)) }
  /// Harmonic mean of precision and recall; 0 when the class neither occurs nor is predicted.
  package func f1(_ index: Int) -> Double {
    ratio(2 * counts[index][index], actual(index) + predicted(index))
  }

  /// Mean F1 of the classes that occur or are predicted; 0 when there are none.
  ///
  /// - Source: scikit-learn's `f1_score(average="macro", zero_division=0)` with its default labels.
  package var macroF1: Double {
    let seen = (0..<classes).filter { actual($0) + predicted($0) > 0 }
    return seen.isEmpty ? 0 : seen.reduce(0) { $0 + f1($1) } / Double(seen.count)
  }

  private func ratio(_ part: Int, _ whole: Int) -> Double {
    whole == 0 ? 0 : Double(part) / Double(whole)
  }
}
