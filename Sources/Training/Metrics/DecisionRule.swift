// SPDX-License-Identifier: Apache-2.0

/// How probabilities become the one label of a sample where classes have thresholds.
///
/// A class with a threshold is the answer from that probability on; of several that reach theirs, the one
/// that is furthest above (the largest quotient of probability and threshold). Where none does, the most
/// probable class is the answer if it has no threshold; if it has one, which it then misses, the sample is
/// undecided. So a high threshold keeps doubtful answers of a class back, and a low one gives its answer
/// although another is more probable.
package struct DecisionRule: Sendable, Hashable {
  /// One a class, in 0...1; 0 for a class without.
  package let thresholds: [Float]

  /// - Parameter thresholds: one a class, in 0...1; 0 for a class without.
  package init(_ thresholds: [Float]) {
    precondition(
      thresholds.allSatisfy { (0...1).contains($0) }, "A threshold is a probability, in 0...1.")
    self.thresholds = thresholds
  }

  /// Whether any class has a threshold; otherwise the most probable class is always the answer.
  package var hasThresholds: Bool { thresholds.contains { $0 > 0 } }

  /// The position of the answer, or nil for an undecided sample; of equals the first.
  package func answer(_ probabilities: some RandomAccessCollection<Float>) -> Int? {
    precondition(
      probabilities.count == thresholds.count,
      "\(probabilities.count) probabilities for \(thresholds.count) thresholds.")
    var best: (index: Int, probability: Float) = (0, -.infinity)
    var reached: (index: Int, excess: Float)?
    for (index, probability) in probabilities.enumerated() {
      if probability > best.probability { best = (index, probability) }
      let threshold = thresholds[index]
      guard threshold > 0, probability >= threshold else { continue }
      let excess = probability / threshold
      if excess > reached?.excess ?? 0 { reached = (index, excess) }
    }
    if let reached { return reached.index }
    return thresholds[best.index] > 0 ? nil : best.index
  }
}
