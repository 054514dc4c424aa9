// SPDX-License-Identifier: Apache-2.0

import ThawExecution
package import ThawNetwork

/// What a layer's bytes stand for, and how that was found.
package struct ScaleChoice: Sendable {
  /// How the ends of the range were found.
  package enum Method: String, Sendable, Codable, CaseIterable {
    /// The smallest and the largest value seen.
    case extremes
    /// All but one value in ten thousand at either end.
    case percentile
    /// The ends with the smallest squared error on the photos that fit them.
    case minimumError = "minimum error"
  }

  package let scale: ByteScale
  package let method: Method
  /// Mean squared error over the mean square, on values that chose nothing.
  package let error: Double

  /// Fits each method's range on `fitting`, sorted, and takes the one that rounds `judging` best.
  ///
  /// nil where nothing but zeros, or something that is no number, was seen.
  init?(fitting: [Float], judging: [Float], low: Float, high: Float) {
    guard low.isFinite, high.isFinite, high - low > 0, !fitting.isEmpty else { return nil }
    let outside = fitting.count / 10_000
    let ranges: [(Method, Float, Float)] = [
      (.extremes, low, high),
      (
        .percentile, min(fitting[outside], 0),
        max(fitting[fitting.count - 1 - outside], 0)
      ),
    ]
    var choices = ranges.compactMap { method, low, high in
      ScaleChoice.bytes(low, high).map { (method, $0) }
    }
    // Shrunk evenly, 2 per cent at a time.
    var best: (error: Double, scale: ByteScale)?
    for share in stride(from: Float(1), to: 0.3, by: -0.02) {
      guard let scale = ScaleChoice.bytes(low * share, high * share) else { continue }
      let error = ScaleChoice.error(of: scale, on: fitting)
      if best.map({ error < $0.error }) ?? true { best = (error, scale) }
    }
    if let best { choices.append((.minimumError, best.scale)) }
    let judged = choices.map { (choice: $0, error: ScaleChoice.error(of: $0.1, on: judging)) }
    guard let chosen = judged.min(by: { $0.error < $1.error }) else { return nil }
    method = chosen.choice.0
    scale = chosen.choice.1
    error = chosen.error
  }

  /// Bytes that reach from `low` to `high`, with a byte for 0; without a negative value from 0 on.
  static func bytes(_ low: Float, _ high: Float) -> ByteScale? {
    let (low, high) = (min(low, 0), max(high, 0))
    let scale = (high - low) / 255
    guard scale > 0 else { return nil }
    let zero = Int((-low / scale).rounded())
    return ByteScale(scale: scale, zero: min(max(zero, 0), 255))
  }

  static func error(of scale: ByteScale, on values: [Float]) -> Double {
    var (error, square) = (0.0, 0.0)
    let inverse = 1 / scale.scale
    let (low, high) = (Float(-scale.zero), Float(255 - scale.zero))
    for value in values {
      let rounded = min(max(value * inverse, low), high).rounded(.toNearestOrEven) * scale.scale
      let difference = Double(rounded - value)
      error += difference * difference
      square += Double(value) * Double(value)
    }
    return square > 0 ? error / square : 0
  }
}
