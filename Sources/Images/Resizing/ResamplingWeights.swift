// SPDX-License-Identifier: Apache-2.0

/// The kernel a resize weights its source pixels with.
package enum Interpolation: String, Codable, Sendable, Hashable, CaseIterable {
  /// Triangle: linear between neighbours, widened by the scale when shrinking.
  case bilinear
  /// Cubic convolution with a = -0.5, widened by the scale when shrinking.
  case bicubic
  /// The source pixel under the centre of each target pixel; no antialiasing. The default of
  /// `keras.utils.load_img`.
  case nearest

  /// Half the kernel's width in source pixels at scale 1.
  var support: Double {
    switch self {
    case .bilinear: 1
    case .bicubic: 2
    case .nearest: 0.5
    }
  }

  /// The kernel at distance `x`.
  ///
  /// - Source: Keys 1981 with a = -0.5, the value Pillow uses (OpenCV and PyTorch's tensor resize
  ///   use -0.75).
  func weight(at x: Double) -> Double {
    let x = abs(x)
    switch self {
    case .nearest: return x <= 0.5 ? 1 : 0
    case .bilinear: return x < 1 ? 1 - x : 0
    case .bicubic:
      let a = -0.5
      if x < 1 { return ((a + 2) * x - (a + 3)) * x * x + 1 }
      if x < 2 { return (((x - 5) * x + 8) * x - 4) * a }
      return 0
    }
  }
}

/// For each output position of one axis, the source positions it reads and their fixed-point weights.
///
/// The same arithmetic as Pillow's 8-bit resize, so that the results are equal: weights are computed
/// and normalised in Double, then rounded to 22 fraction bits, half away from zero.
struct ResamplingWeights {
  /// First source position of each output.
  private(set) var first: [Int32]
  /// Number of source positions of each output; at least 1.
  let taps: [Int32]
  /// `stride` weights an output.
  let weights: [Int32]
  /// Weights reserved an output.
  let stride: Int

  static let fractionBits = 22

  /// Weights of the outputs in `range`, when `low..<high` of `sourceCount` positions becomes
  /// `outputCount`.
  init(
    _ kernel: Interpolation, sourceCount: Int, low: Double, high: Double, outputCount: Int,
    range: Range<Int>
  ) {
    // Pillow keeps the edges of the box, and their difference, in single precision.
    let low = Float(low)
    let scale = Double(Float(high) - low) / Double(outputCount)
    if kernel == .nearest {
      stride = 1
      first = Self.nearest(range, low: Double(low), scale: scale, sourceCount: sourceCount)
      taps = [Int32](repeating: 1, count: range.count)
      weights = [Int32](repeating: 1 << Int32(Self.fractionBits), count: range.count)
      return
    }
    let widening = max(scale, 1)
    let support = kernel.support * widening
    stride = Int(support.rounded(.up)) * 2 + 1
    var first: [Int32] = []
    var taps: [Int32] = []
    var weights = [Int32](repeating: 0, count: range.count * stride)
    first.reserveCapacity(range.count)
    taps.reserveCapacity(range.count)
    var exact = [Double](repeating: 0, count: stride)
    for (index, output) in range.enumerated() {
      let center = Double(low) + (Double(output) + 0.5) * scale
      let start = max(Int(center - support + 0.5), 0)
      let end = min(Int(center + support + 0.5), sourceCount)
      var total = 0.0
      for tap in 0..<(end - start) {
        let weight = kernel.weight(at: (Double(tap + start) - center + 0.5) * (1 / widening))
        exact[tap] = weight
        total += weight
      }
      for tap in 0..<(end - start) {
        let normalized = total == 0 ? exact[tap] : exact[tap] / total
        let fixed = normalized * Double(1 << Self.fractionBits)
        weights[index * stride + tap] = Int32(fixed + (fixed < 0 ? -0.5 : 0.5))
      }
      first.append(Int32(start))
      taps.append(Int32(end - start))
    }
    self.first = first
    self.taps = taps
    self.weights = weights
  }

  /// The source position of each output.
  ///
  /// Pillow adds the scale up from output to output instead of multiplying, and then cuts off the
  /// fraction, so a rounding error can move a position by one: it is repeated here.
  private static func nearest(
    _ range: Range<Int>, low: Double, scale: Double, sourceCount: Int
  ) -> [Int32] {
    var first: [Int32] = []
    first.reserveCapacity(range.count)
    var position = low + scale * 0.5
    for output in 0..<range.upperBound {
      if output >= range.lowerBound { first.append(Int32(min(Int(position), sourceCount - 1))) }
      position += scale
    }
    return first
  }

  /// The source positions that any output reads.
  var sourceRange: Range<Int> {
    guard let low = first.min() else { return 0..<0 }
    let high = zip(first, taps).map { Int($0) + Int($1) }.max() ?? 0
    return Int(low)..<high
  }

  /// The same weights for a source that begins at ``sourceRange``.
  var rebased: ResamplingWeights {
    var copy = self
    let offset = Int32(sourceRange.lowerBound)
    for index in first.indices { copy.first[index] -= offset }
    return copy
  }
}
