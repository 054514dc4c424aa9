// SPDX-License-Identifier: Apache-2.0

package import ThawTensors

/// What one output of an adaptive pooling sees of its image.
package struct AdaptiveWindow {
  package let rows: Range<Int>
  package let columns: Range<Int>

  /// Pixels in it.
  package var count: Int { rows.count * columns.count }

  /// The window that sees these rows and columns.
  package init(rows: Range<Int>, columns: Range<Int>) {
    self.rows = rows
    self.columns = columns
  }

  /// The windows of all outputs, row by row.
  package static func all(from input: Extent2D, to output: Extent2D) -> [AdaptiveWindow] {
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
  package var count: Int { height * width }
}

extension AdaptiveWindow {
  /// [outputs, pixels]: the weight of each pixel in each output's mean.
  package static func matrix(from input: Extent2D, to output: Extent2D) -> Tensor<Float> {
    let windows = all(from: input, to: output)
    return Tensor(shape: [windows.count, input.count]) { elements in
      elements.update(repeating: 0)
      for (index, window) in windows.enumerated() {
        for row in window.rows {
          for column in window.columns {
            elements[index * input.count + row * input.width + column] = 1 / Float(window.count)
          }
        }
      }
    }
  }
}
