// SPDX-License-Identifier: Apache-2.0

import Glibc

/// Learning rates read off a curve of losses over rates; nil where the curve is too short.
package struct LearningRateSuggestions: Sendable, Equatable, Codable {
  /// Half way into the longest descent: the one to use. Nil also when the loss never falls, where
  /// fastai's gives the first rate.
  package let valley: Double?
  /// Left edge of the last steep stretch before the loss explodes.
  package let slide: Double?
  /// A tenth of the rate with the lowest loss.
  package let minimum: Double?
  /// Where the loss falls fastest per factor of the rate.
  package let steep: Double?

  /// Reads a curve: rates in ascending order, finite losses, one for each.
  package init(rates: [Double], losses: [Double]) {
    precondition(rates.count == losses.count, "A curve has one loss for each rate.")
    valley = LearningRateSuggestions.valley(losses).map { rates[$0] }
    slide = LearningRateSuggestions.slide(losses).map { rates[$0] }
    minimum = LearningRateSuggestions.firstMinimum(losses).map { rates[$0] / 10 }
    steep = LearningRateSuggestions.steepest(rates, losses).map { rates[$0] }
  }

  /// Writes every key, null where there is no suggestion.
  package func encode(to encoder: any Encoder) throws {
    var container = encoder.container(keyedBy: CodingKeys.self)
    try container.encode(valley, forKey: .valley)
    try container.encode(slide, forKey: .slide)
    try container.encode(minimum, forKey: .minimum)
    try container.encode(steep, forKey: .steep)
  }

  /// A half into the longest strictly falling subsequence, measured back from its end by its length
  /// (a subsequence has gaps: its true start may lie earlier). Nil below two points, and when the
  /// loss never falls.
  ///
  /// The start comes out as -1 when every point belongs to the descent, and on curves of two points
  /// so would the result: it is kept at 0.
  ///
  /// - Source: fastai v2 `valley`: start + int(length / 3) + int(length / 6).
  private static func valley(_ losses: [Double]) -> Int? {
    guard losses.count >= 2 else { return nil }
    var lengths = [Int](repeating: 1, count: losses.count)
    var end = 0
    for index in 1..<losses.count {
      for earlier in 0..<index where losses[index] < losses[earlier] {
        lengths[index] = max(lengths[index], lengths[earlier] + 1)
      }
      if lengths[index] > lengths[end] { end = index }
    }
    guard lengths[end] > 1 else { return nil }
    let third = Double(lengths[end]) / 3
    return max(end - lengths[end] + Int(third) + Int(third / 2), 0)
  }

  /// Slides a window of 15 steps to the left from the end of the curve for as long as the slopes at
  /// its edges differ by more than 0.005; its left edge then. Nil below 16 points.
  ///
  /// - Source: fastai v2 `slide` with its defaults; slopes are numpy's `gradient` (central
  ///   differences, one-sided at the ends).
  private static func slide(_ losses: [Double]) -> Int? {
    let (width, threshold) = (15, 0.005)
    guard losses.count > width else { return nil }
    let last = losses.count - 1
    let slopes = losses.indices.map { index in
      let (left, right) = (max(index - 1, 0), min(index + 1, last))
      return (losses[right] - losses[left]) / Double(right - left)
    }
    var (left, result) = (last - width, last - width)
    while left >= 0, abs(slopes[left + width] - slopes[left]) > threshold {
      result = left
      left -= 1
    }
    return result
  }

  /// - Source: fastai v2 `minimum`.
  private static func firstMinimum(_ losses: [Double]) -> Int? {
    losses.indices.min { losses[$0] < losses[$1] }
  }

  /// - Source: fastai v2 `steep`: the left end of the steepest piece. Nil below two points.
  private static func steepest(_ rates: [Double], _ losses: [Double]) -> Int? {
    let slopes = losses.indices.dropLast().map { index in
      (losses[index + 1] - losses[index]) / (log(rates[index + 1]) - log(rates[index]))
    }
    return firstMinimum(slopes)
  }
}
