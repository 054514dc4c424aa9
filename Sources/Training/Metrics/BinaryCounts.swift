// SPDX-License-Identifier: Apache-2.0

/// How often one class was answered rightly where samples may have several: a confusion matrix of two rows
/// and two columns.
package struct BinaryCounts: Sendable, Hashable, Codable {
  /// Has the label and got it.
  package var truePositives = 0
  /// Got the label and has it not.
  package var falsePositives = 0
  /// Has the label and did not get it.
  package var falseNegatives = 0
  /// Neither has it nor got it.
  package var trueNegatives = 0

  private enum CodingKeys: String, CodingKey {
    case truePositives = "true_positives"
    case falsePositives = "false_positives"
    case falseNegatives = "false_negatives"
    case trueNegatives = "true_negatives"
  }

  /// None so far.
  package init() {}

  /// Counts samples.
  ///
  /// - Parameter threshold: from which score on a sample gets the label.
  package init(scores: [Float], isPositive: [Bool], threshold: Float) {
    for (score, isPositive) in zip(scores, isPositive) { add(isPositive, score >= threshold) }
  }

  /// Counts one sample.
  package mutating func add(_ label: Bool, _ answer: Bool) {
    switch (label, answer) {
    case (true, true): truePositives += 1
    case (false, true): falsePositives += 1
    case (true, false): falseNegatives += 1
    case (false, false): trueNegatives += 1
    }
  }

  /// Adds others.
  package static func += (total: inout BinaryCounts, part: BinaryCounts) {
    total.truePositives += part.truePositives
    total.falsePositives += part.falsePositives
    total.falseNegatives += part.falseNegatives
    total.trueNegatives += part.trueNegatives
  }

  /// Samples whose label is known.
  package var known: Int { truePositives + falsePositives + falseNegatives + trueNegatives }
  /// Those that have it.
  package var positives: Int { truePositives + falseNegatives }
  /// Those that got it.
  package var predicted: Int { truePositives + falsePositives }
  /// Share of those that got the label that have it; nil when none got it.
  package var precision: Double? { quotient(truePositives, predicted) }
  /// Share of those that have it that got it; nil when none has it.
  package var recall: Double? { quotient(truePositives, positives) }
  /// The harmonic mean of the two; nil when none has it and none got it.
  package var f1: Double? { quotient(2 * truePositives, positives + predicted) }

  private func quotient(_ part: Int, _ whole: Int) -> Double? {
    whole == 0 ? nil : Double(part) / Double(whole)
  }
}
