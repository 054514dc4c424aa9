// SPDX-License-Identifier: Apache-2.0

import Network
import Tensors

/// Means over windows that divide an image of any size into a fixed number of outputs, summed in Double.
///
/// - Source: PyTorch's `AdaptiveAvgPool2d`.
final class ReferenceAdaptivePooling<Scalar: BLASScalar>: ReferenceLayer {
  private let input: ReferenceValue<Scalar>
  private let output: ReferenceValue<Scalar>
  private let windows: [AdaptiveWindow]

  init(_ context: ReferenceContext<Scalar>) {
    input = context.input
    output = context.output
    windows = AdaptiveWindow.all(from: input.image, to: output.image)
  }

  private func planes(_ pass: ReferencePass) -> Range<Int> { 0..<(pass.count * output.shape[1]) }

  func forward(_ pass: ReferencePass) {
    let width = input.image.width
    for plane in planes(pass) {
      let source = input.values + plane * input.image.count
      let target = output.values + plane * windows.count
      for (index, window) in windows.enumerated() {
        var sum = 0.0
        for row in window.rows {
          for column in window.columns { sum += Double(source[row * width + column]) }
        }
        target[index] = Scalar(sum / Double(window.count))
      }
    }
  }

  func backward(_ pass: ReferencePass) {
    guard let outer = output.gradient, let gradient = input.gradient else { return }
    let width = input.image.width
    for plane in planes(pass) {
      let target = gradient + plane * input.image.count
      for (index, window) in windows.enumerated() {
        let share = outer[plane * windows.count + index] / Scalar(window.count)
        for row in window.rows {
          for column in window.columns { target[row * width + column] += share }
        }
      }
    }
  }
}

/// What one output of an adaptive pooling sees of its image.
struct AdaptiveWindow {
  let rows: Range<Int>
  let columns: Range<Int>

  /// Pixels in it.
  var count: Int { rows.count * columns.count }

  /// The windows of all outputs, row by row.
  static func all(from input: Extent2D, to output: Extent2D) -> [AdaptiveWindow] {
    let rows = ranges(input.height, output.height)
    let columns = ranges(input.width, output.width)
    return rows.flatMap { row in columns.map { AdaptiveWindow(rows: row, columns: $0) } }
  }

  /// From floor(i * size / outputs) up to ceil((i + 1) * size / outputs).
  private static func ranges(_ size: Int, _ outputs: Int) -> [Range<Int>] {
    (0..<outputs).map { ($0 * size / outputs)..<(($0 + 1) * size + outputs - 1) / outputs }
  }
}

extension Extent2D {
  /// Pixels.
  var count: Int { height * width }
}
