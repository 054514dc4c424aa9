// SPDX-License-Identifier: Apache-2.0

/// What a batch should have been answered: borrowed memory, valid during one call.
package enum BatchTargets {
  /// One class index a sample, [n].
  case labels(UnsafeBufferPointer<Int32>)
  /// One share a class of each sample, [n, classes]: distributions as mixup makes them, whose rows sum to
  /// 1, or ``TargetRows``.
  case probabilities(UnsafeBufferPointer<Float>)
}

/// The loss of some samples, kept as a sum so that parts of a batch or of an epoch can be added.
package struct LossTotal: Sendable, Equatable, Codable {
  /// Sum of the weighted losses.
  package var sum: Double
  /// Sum of the weights the mean divides by.
  package var weight: Double

  /// A total, empty by default.
  package init(sum: Double = 0, weight: Double = 0) {
    self.sum = sum
    self.weight = weight
  }

  /// `sum / weight`; 0 for an empty total.
  package var mean: Double { weight == 0 ? 0 : sum / weight }

  /// Adds another part.
  package static func += (total: inout LossTotal, part: LossTotal) {
    total.sum += part.sum
    total.weight += part.weight
  }
}

/// A function of logits and targets to be made small.
///
/// The mean over a batch is `sum / weight`. Because the divisor can be given from outside, a batch
/// may be computed in parts (accumulation, several processes) with the same gradient as in one.
package protocol Loss: Sendable {
  /// The same loss without smoothing and weights: what weights are judged by.
  var plain: any Loss { get }

  /// What ``LossTotal/weight`` will be for these targets.
  ///
  /// - Parameter classes: width of a row of logits.
  func weight(of targets: BatchTargets, classes: Int) -> Double

  /// The loss of n rows of logits and, in the same pass, its gradient.
  ///
  /// - Parameters:
  ///   - logits: [n, classes].
  ///   - classes: width of a row, at least 1.
  ///   - targets: of the same n samples.
  ///   - divisor: what the gradient's mean divides by: the weight of the *whole* batch.
  ///   - gradient: [n, classes] is written here: d (sum / divisor) / d logits. Nil to skip it. All
  ///     zeros when the divisor is 0.
  func evaluate(
    _ logits: UnsafeBufferPointer<Float>, classes: Int, targets: BatchTargets, divisor: Double,
    gradient: UnsafeMutableBufferPointer<Float>?
  ) -> LossTotal
}
