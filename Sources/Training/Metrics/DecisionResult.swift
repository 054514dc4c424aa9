// SPDX-License-Identifier: Apache-2.0

package import ThawTensors

/// What is made of samples where an answer may be kept back, or another class answered than the most
/// probable one: by thresholds, or by costs.
package struct DecisionResult: Sendable, Equatable, Codable {
  /// The numbers of one class.
  package struct ClassDecision: Sendable, Equatable, Codable {
    package let name: String
    /// Its samples.
    package let count: Int
    /// Samples that were called so.
    package let answered: Int
    /// Those of them that are.
    package let correct: Int
    /// Share of ``answered`` that is right; nil where nothing was.
    package let precision: Double?
    /// Where it lies with 95 % confidence; two numbers.
    package let precisionInterval: [Double]?
    /// Share of the class that was found; nil without samples.
    package let recall: Double?
    package let recallInterval: [Double]?

    private enum CodingKeys: String, CodingKey {
      case name, count, answered, correct, precision, recall
      case precisionInterval = "precision_interval"
      case recallInterval = "recall_interval"
    }
  }

  /// Samples that were judged.
  package let count: Int
  /// Samples without an answer.
  package let undecided: Int
  /// Right answers.
  package let correct: Int
  /// Share of the answers that are right; nil when none was given.
  package let accuracyOfAnswered: Double?
  /// Where that lies with 95 % confidence; two numbers.
  package let accuracyInterval: [Double]?
  /// In the model's order.
  package let perClass: [ClassDecision]
  /// [true][answered], and as the last column those that are undecided.
  package let confusion: [[Int]]

  private enum CodingKeys: String, CodingKey {
    case count, undecided, correct, confusion
    case accuracyOfAnswered = "accuracy_of_answered"
    case accuracyInterval = "accuracy_interval"
    case perClass = "per_class"
  }

  /// Counts answers.
  ///
  /// - Parameters:
  ///   - answers: positions of classes; nil where a sample is undecided.
  ///   - independent: how many samples say something of their own; nil for all.
  package init(
    _ answers: [Int?], labels: [Int], classNames: [String], independent: Int? = nil
  ) {
    precondition(answers.count == labels.count, "Every answer needs a label.")
    let classes = classNames.count
    var counts = [[Int]](repeating: [Int](repeating: 0, count: classes + 1), count: classes)
    for (answer, label) in zip(answers, labels) { counts[label][answer ?? classes] += 1 }
    let share =
      Double(min(independent ?? labels.count, labels.count)) / Double(max(labels.count, 1))
    func interval(_ part: Int, _ whole: Int) -> [Double]? {
      guard whole > 0 else { return nil }
      let range = WilsonInterval.interval(
        share: Double(part) / Double(whole), trials: Double(whole) * share)
      return [range.lowerBound, range.upperBound]
    }
    func quotient(_ part: Int, _ whole: Int) -> Double? {
      whole == 0 ? nil : Double(part) / Double(whole)
    }
    count = labels.count
    undecided = answers.count { $0 == nil }
    let right = classNames.indices.reduce(0) { $0 + counts[$1][$1] }
    correct = right
    accuracyOfAnswered = quotient(right, labels.count - undecided)
    accuracyInterval = interval(right, labels.count - undecided)
    perClass = classNames.enumerated().map { index, name in
      let own = counts[index].reduce(0, +)
      let answered = counts.reduce(0) { $0 + $1[index] }
      let correct = counts[index][index]
      return ClassDecision(
        name: name, count: own, answered: answered, correct: correct,
        precision: quotient(correct, answered), precisionInterval: interval(correct, answered),
        recall: quotient(correct, own), recallInterval: interval(correct, own))
    }
    confusion = counts
  }

  /// The answers of thresholds.
  ///
  /// - Parameter probabilities: [n, classes].
  package init(
    _ rule: DecisionRule, _ probabilities: Tensor<Float>, labels: [Int], classNames: [String],
    independent: Int? = nil
  ) {
    let classes = classNames.count
    let answers = probabilities.withUnsafeElements { elements in
      labels.indices.map { rule.answer(elements[($0 * classes)..<(($0 + 1) * classes)]) }
    }
    self.init(answers, labels: labels, classNames: classNames, independent: independent)
  }
}
