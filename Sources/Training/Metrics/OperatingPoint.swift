// SPDX-License-Identifier: Apache-2.0

/// What a threshold makes of the samples that were scored for one class.
package struct OperatingPoint: Sendable, Hashable {
  /// From this score on a sample gets the class.
  package let threshold: Float
  /// Samples that get it and have it.
  package let truePositives: Int
  /// Samples that get it.
  package let predicted: Int
  /// Samples that have it.
  package let positives: Int

  /// Share of those that get the class that have it.
  package var precision: Double { Double(truePositives) / Double(max(predicted, 1)) }
  /// Share of those that have the class that get it; 0 when none has it.
  package var recall: Double { Double(truePositives) / Double(max(positives, 1)) }
  /// The harmonic mean of the two.
  package var f1: Double { 2 * Double(truePositives) / Double(predicted + positives) }

  /// Every threshold that makes a difference, from the highest to the lowest; each lets one more group of
  /// equal scores in.
  ///
  /// Thresholds lie half-way between neighbouring scores, so that none is close to a sample; a half where
  /// that is between them.
  package static func all(scores: [Float], isPositive: [Bool]) -> [OperatingPoint] {
    precondition(scores.count == isPositive.count, "Every score needs to know its class.")
    let positives = isPositive.count { $0 }
    let order = scores.indices.sorted { scores[$0] > scores[$1] }
    var points: [OperatingPoint] = []
    var (found, start) = (0, 0)
    while start < order.count {
      var end = start
      while end < order.count, scores[order[end]] == scores[order[start]] {
        if isPositive[order[end]] { found += 1 }
        end += 1
      }
      let below = end < order.count ? scores[order[end]] : 0
      points.append(
        OperatingPoint(
          threshold: threshold(from: below, to: scores[order[start]]), truePositives: found,
          predicted: end, positives: positives))
      start = end
    }
    return points
  }

  /// A threshold above `lower` and not above `upper`: a half if that is one.
  private static func threshold(from lower: Float, to upper: Float) -> Float {
    let ordinary = LabelThresholds.ordinary
    if lower < ordinary, ordinary <= upper { return ordinary }
    let middle = lower + (upper - lower) / 2
    return middle > lower ? middle : upper
  }
}
