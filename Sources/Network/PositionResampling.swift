// SPDX-License-Identifier: Apache-2.0

package import ThawTensors

/// How the positions learned for one grid of patches are carried over to another: cubic convolution in
/// four variants that libraries are not agreed on.
package enum PositionResampling: String, Hashable, Sendable, Codable, CaseIterable {
  /// With a wider kernel where the grid shrinks, a = -0.5. timm, and DINOv2 with registers.
  case antialiased
  /// Four taps whatever the scale, a = -0.75. transformers.
  case cubic
  /// The same as if the new grid were 0.1 patches larger. facebook's DINOv2.
  case offset
  /// The same with the corners of both grids on top of each other. torchvision.
  case alignedCorners = "aligned_corners"

  /// [to, from]: the weight of each old position in each new one; nil where the grids are equal, and
  /// positions are taken as they are.
  ///
  /// - Source: PyTorch's `interpolate(mode="bicubic")` with and without `antialias` and `align_corners`.
  package func matrix(from input: Extent2D, to output: Extent2D) -> Tensor<Double>? {
    guard input != output else { return nil }
    let rows = weights(input.height, output.height)
    let columns = weights(input.width, output.width)
    return Tensor(shape: [output.count, input.count]) { elements in
      for (row, vertical) in rows.enumerated() {
        for (column, horizontal) in columns.enumerated() {
          let target = (row * output.width + column) * input.count
          for y in 0..<input.height {
            for x in 0..<input.width {
              elements[target + y * input.width + x] = vertical[y] * horizontal[x]
            }
          }
        }
      }
    }
  }

  /// The positions of a grid, [grid, C] row major, carried to another one, [grid, C].
  package func resampled(
    _ positions: Tensor<Float>, from input: Extent2D, to output: Extent2D
  ) -> Tensor<Float> {
    guard input != output else { return positions }
    let rows = weights(input.height, output.height)
    let columns = weights(input.width, output.width)
    let channels = positions.shape[1]
    var lines = [Double](repeating: 0, count: output.height * input.width * channels)
    var result = [Double](repeating: 0, count: output.count * channels)
    let old = positions.elements
    let width = input.width * channels
    for (row, weights) in rows.enumerated() {
      for (y, weight) in weights.enumerated() where weight != 0 {
        for i in 0..<width { lines[row * width + i] += weight * Double(old[y * width + i]) }
      }
      for (column, weights) in columns.enumerated() {
        let target = (row * output.width + column) * channels
        for (x, weight) in weights.enumerated() where weight != 0 {
          let source = row * width + x * channels
          for i in 0..<channels { result[target + i] += weight * lines[source + i] }
        }
      }
    }
    return Tensor(result.map(Float.init), shape: [output.count, channels])
  }

  /// The weights of `size` old places in each of `outputs` new ones, along one axis.
  private func weights(_ size: Int, _ outputs: Int) -> [[Double]] {
    (0..<outputs).map { output in
      switch self {
      case .antialiased: PositionResampling.filtered(output, size, outputs)
      case .cubic:
        PositionResampling.interpolated(
          at: (Double(output) + 0.5) * Double(size) / Double(outputs) - 0.5, size)
      case .offset:
        PositionResampling.interpolated(
          at: (Double(output) + 0.5) * Double(size) / (Double(outputs) + 0.1) - 0.5, size)
      case .alignedCorners:
        PositionResampling.interpolated(
          at: outputs > 1 ? Double(output) * Double(size - 1) / Double(outputs - 1) : 0, size)
      }
    }
  }

  /// Four taps around `place`; those beyond an end count for the end.
  private static func interpolated(at place: Double, _ size: Int) -> [Double] {
    let first = Int(place.rounded(.down))
    var result = [Double](repeating: 0, count: size)
    for tap in (first - 1)...(first + 2) {
      result[min(max(tap, 0), size - 1)] += cubic(place - Double(tap), -0.75)
    }
    return result
  }

  /// A kernel stretched by the scale where that is above 1, cut off at the ends and normalised.
  private static func filtered(_ output: Int, _ size: Int, _ outputs: Int) -> [Double] {
    let scale = Double(size) / Double(outputs)
    let stretch = max(scale, 1)
    let centre = scale * (Double(output) + 0.5)
    let begin = max(Int(centre - 2 * stretch + 0.5), 0)
    let end = min(Int(centre + 2 * stretch + 0.5), size)
    var result = [Double](repeating: 0, count: size)
    for place in begin..<max(end, begin) {
      result[place] = cubic((Double(place) - centre + 0.5) / stretch, -0.5)
    }
    let sum = result.reduce(0, +)
    return sum == 0 ? result : result.map { $0 / sum }
  }

  /// - Source: Keys 1981, "Cubic convolution interpolation for digital image processing".
  private static func cubic(_ distance: Double, _ a: Double) -> Double {
    let x = abs(distance)
    if x < 1 { return ((a + 2) * x - (a + 3)) * x * x + 1 }
    if x < 2 { return (((x - 5) * x + 8) * x - 4) * a }
    return 0
  }
}
