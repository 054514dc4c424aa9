// SPDX-License-Identifier: Apache-2.0

/// What lies beyond the edge of a photo, for the row `abcd`.
///
/// - Source: the first four have the meaning Keras documents; scipy, which Keras calls, differs in
///   two: its `wrap` repeats with period n - 1 for interpolated samples, its `constant` does not
///   blend the outermost half pixel with the colour.
package enum FillMode: String, Codable, Hashable, Sendable, CaseIterable {
  /// `aaaa|abcd|dddd`.
  case nearest
  /// `kkkk|abcd|kkkk`, k being a colour.
  case constant
  /// `dcba|abcd|dcba`: mirrored, the edge repeated (scipy `reflect`, NumPy and torch `symmetric`).
  case reflect
  /// `..dcb|abcd|cba..`: mirrored, the edge not repeated (scipy `mirror`, NumPy and torch
  /// `reflect`, OpenCV `REFLECT_101`); what fastai's `PadMode.Reflection` does with aligned
  /// corners.
  case reflect101
  /// `abcd|abcd|abcd`.
  case wrap

  /// The position in `0..<count` whose sample stands at `position`; nil where the constant colour
  /// does. Any distance from the photo is allowed.
  @inline(__always)
  package func source(of position: Int, count: Int) -> Int? {
    if position >= 0 && position < count { return position }
    switch self {
    case .nearest: return position < 0 ? 0 : count - 1
    case .constant: return nil
    case .reflect:
      let folded = FillMode.modulo(position, 2 * count)
      return folded < count ? folded : 2 * count - 1 - folded
    case .reflect101:
      if count == 1 { return 0 }
      let folded = FillMode.modulo(position, 2 * count - 2)
      return folded < count ? folded : 2 * count - 2 - folded
    case .wrap: return FillMode.modulo(position, count)
    }
  }

  /// The positions read for `positions` that partly lie outside; never empty.
  package func sources(of positions: ClosedRange<Int>, count: Int) -> ClosedRange<Int> {
    let last = count - 1
    let (low, high) = (positions.lowerBound, positions.upperBound)
    if low >= 0 && high <= last { return positions }
    switch self {
    case .nearest, .constant: return min(max(low, 0), last)...min(max(high, 0), last)
    case .reflect, .reflect101:
      if low < -last || high > 2 * last { return 0...last }
      let mirroredLow = low < 0 ? max(min(high, last), -low) : min(high, last)
      let mirroredHigh = high > last ? min(max(low, 0), 2 * last - high) : max(low, 0)
      return max(0, min(mirroredHigh, mirroredLow))...min(last, max(mirroredLow, mirroredHigh))
    case .wrap: return 0...last
    }
  }

  @inline(__always)
  private static func modulo(_ value: Int, _ divisor: Int) -> Int {
    let rest = value % divisor
    return rest < 0 ? rest + divisor : rest
  }
}
