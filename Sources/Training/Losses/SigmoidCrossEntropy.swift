// SPDX-License-Identifier: Apache-2.0

import Glibc

/// Sigmoid binary cross-entropy: every class is a yes-or-no question of its own, so a sample may have
/// several labels or none.
///
/// With y the target of a class, smoothed to (1 - s) * y + s / 2, w its positive weight and x the
/// logit:  (1 - y) * x + (1 + (w - 1) * y) * log(1 + exp(-x)).  The mean divides by samples * classes.
///
/// Targets given as probabilities are one share a class, [n, classes], and need not sum to 1; labels
/// are taken as one-hot rows. Where the target is NaN nobody knows: such an element costs nothing, has no
/// gradient and does not count in the mean. Computed without overflow for logits of any finite size; sums are
/// Double. Edge cases: NaN or infinite logits give a NaN loss; a label outside the classes traps.
///
/// - Source: PyTorch's `BCEWithLogitsLoss(pos_weight=, reduction="mean")`.
package struct SigmoidCrossEntropy: Loss, Equatable {
  /// How far targets are moved towards a half, in 0..<1.
  package let labelSmoothing: Double
  /// How much more a missed yes counts than a missed no, one a class; empty means 1 for all.
  package let positiveWeights: [Float]

  /// A loss; traps on smoothing outside 0..<1 and on negative or non-finite weights.
  package init(labelSmoothing: Double = 0, positiveWeights: [Float] = []) {
    precondition(
      labelSmoothing >= 0 && labelSmoothing < 1,
      "Label smoothing must be in 0..<1, got \(labelSmoothing).")
    precondition(
      positiveWeights.allSatisfy { $0 >= 0 && $0.isFinite },
      "Positive weights must be finite and at least 0, got \(positiveWeights).")
    self.labelSmoothing = labelSmoothing
    self.positiveWeights = positiveWeights
  }

  /// See ``Loss/plain``.
  package var plain: any Loss { SigmoidCrossEntropy() }

  /// Samples times classes, without what is unknown.
  package func weight(of targets: BatchTargets, classes: Int) -> Double {
    switch targets {
    case .probabilities(let rows): Double(rows.count { !$0.isNaN })
    case .labels(let labels): Double(labels.count * classes)
    }
  }

  /// See ``Loss/evaluate(_:classes:targets:divisor:gradient:)``.
  package func evaluate(
    _ logits: UnsafeBufferPointer<Float>, classes: Int, targets: BatchTargets, divisor: Double,
    gradient: UnsafeMutableBufferPointer<Float>?
  ) -> LossTotal {
    check(logits, classes: classes, targets: targets)
    if let gradient {
      precondition(
        gradient.count >= logits.count, "The gradient needs room for \(logits.count) elements.")
    }
    let scale = divisor == 0 ? 0 : 1 / divisor
    var sum = 0.0
    for index in logits.indices {
      let answer =
        switch targets {
        case .labels(let labels): Int(labels[index / classes]) == index % classes ? 1 : 0.0
        case .probabilities(let rows): Double(rows[index])
        }
      if answer.isNaN {
        gradient?[index] = 0
        continue
      }
      let target = (1 - labelSmoothing) * answer + labelSmoothing / 2
      let extra = positiveWeights.isEmpty ? 0 : Double(positiveWeights[index % classes]) - 1
      let (loss, slope) = SigmoidCrossEntropy.term(
        Double(logits[index]), target: target, weight: 1 + extra * target)
      sum += loss
      gradient?[index] = Float(slope * scale)
    }
    return LossTotal(sum: sum, weight: weight(of: targets, classes: classes))
  }

  /// (1 - y) x + w log(1 + exp(-x)) and its derivative (1 - y) - w / (1 + exp(x)); exp is only taken
  /// of numbers at most 0.
  static func term(
    _ x: Double, target: Double, weight: Double
  ) -> (loss: Double, slope: Double) {
    let tail = exp(-abs(x))
    let softplus = log1p(tail) + max(-x, 0)
    let miss = x >= 0 ? tail / (1 + tail) : 1 / (1 + tail)
    return ((1 - target) * x + weight * softplus, (1 - target) - weight * miss)
  }

  private func check(
    _ logits: UnsafeBufferPointer<Float>, classes: Int, targets: BatchTargets
  ) {
    precondition(
      classes > 0 && logits.count % classes == 0,
      "\(logits.count) logits are not rows of \(classes).")
    precondition(
      positiveWeights.isEmpty || positiveWeights.count == classes,
      "\(positiveWeights.count) positive weights do not fit \(classes) classes.")
    switch targets {
    case .labels(let labels):
      precondition(
        labels.count * classes == logits.count,
        "\(labels.count) labels for \(logits.count / classes) samples.")
      precondition(
        labels.allSatisfy { $0 >= 0 && $0 < classes }, "A label is outside 0..<\(classes).")
    case .probabilities(let rows):
      precondition(rows.count == logits.count, "Targets need \(logits.count) elements.")
    }
  }
}
