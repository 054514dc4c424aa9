// SPDX-License-Identifier: Apache-2.0

/// A height and a width, in pixels or in kernel taps.
package struct Extent2D: Hashable, Sendable, Codable, CustomStringConvertible {
  /// Rows.
  package var height: Int
  /// Columns.
  package var width: Int
  /// `height` rows and `width` columns.
  package init(height: Int, width: Int) {
    self.height = height
    self.width = width
  }
  /// A square.
  package init(_ side: Int) { self.init(height: side, width: side) }
  /// `7x7`, height first.
  package var description: String { "\(height)x\(width)" }
}

/// Zeros (or, for max pooling, minus infinity) added on each side, in pixels.
package struct EdgeInsets: Hashable, Sendable {
  /// Rows above.
  package var top: Int
  /// Columns before.
  package var left: Int
  /// Rows below.
  package var bottom: Int
  /// Columns after.
  package var right: Int
  /// Pads each side by its own amount.
  package init(top: Int, left: Int, bottom: Int, right: Int) {
    self.top = top
    self.left = left
    self.bottom = bottom
    self.right = right
  }
  /// The same amount on every side.
  package init(_ amount: Int) {
    self.init(top: amount, left: amount, bottom: amount, right: amount)
  }
}

/// How a window that slides over an image treats the border.
package enum Padding: Hashable, Sendable {
  /// Fixed amounts, PyTorch's way.
  case explicit(EdgeInsets)
  /// TensorFlow's "same": outputs = ceil(input / stride), the odd pixel goes below and right.
  ///
  /// For an even input and stride 2 this is asymmetric, which is why it is not `.explicit(1)`.
  case same
}

/// The window of a convolution or pooling operation.
package struct Window2D: Hashable, Sendable {
  /// Taps.
  package var kernel: Extent2D
  /// Step between outputs.
  package var stride: Extent2D
  /// Distance between taps (1 = dense).
  package var dilation: Extent2D
  /// Border treatment.
  package var padding: Padding
  /// Whether the last, partial window counts (pooling only; PyTorch's `ceil_mode`).
  package var roundsUp: Bool

  /// A square window.
  package init(
    kernel: Int, stride: Int = 1, dilation: Int = 1, padding: Padding = .explicit(EdgeInsets(0)),
    roundsUp: Bool = false
  ) {
    self.kernel = Extent2D(kernel)
    self.stride = Extent2D(stride)
    self.dilation = Extent2D(dilation)
    self.padding = padding
    self.roundsUp = roundsUp
  }

  /// The amounts of padding for an input of `size`.
  package func insets(for size: Extent2D) -> EdgeInsets {
    switch padding {
    case .explicit(let insets): return insets
    case .same:
      let rows = Window2D.same(size.height, kernel.height, stride.height, dilation.height)
      let columns = Window2D.same(size.width, kernel.width, stride.width, dilation.width)
      return EdgeInsets(
        top: rows / 2, left: columns / 2, bottom: rows - rows / 2, right: columns - columns / 2)
    }
  }

  /// Output extent for an input of `size`; nil when the window does not fit even once.
  package func output(for size: Extent2D) -> Extent2D? {
    let insets = insets(for: size)
    guard
      let height = Window2D.count(
        size.height, kernel.height, stride.height, dilation.height, insets.top, insets.bottom,
        roundsUp),
      let width = Window2D.count(
        size.width, kernel.width, stride.width, dilation.width, insets.left, insets.right, roundsUp)
    else { return nil }
    return Extent2D(height: height, width: width)
  }

  private static func same(_ size: Int, _ kernel: Int, _ stride: Int, _ dilation: Int) -> Int {
    let outputs = (size + stride - 1) / stride
    return max((outputs - 1) * stride + (kernel - 1) * dilation + 1 - size, 0)
  }

  private static func count(
    _ size: Int, _ kernel: Int, _ stride: Int, _ dilation: Int, _ before: Int, _ after: Int,
    _ roundsUp: Bool
  ) -> Int? {
    let span = size + before + after - ((kernel - 1) * dilation + 1)
    // Rounding up, a first window that overhangs by less than a stride counts too (PyTorch's rule).
    let reach = roundsUp ? span + stride - 1 : span
    guard size > 0, reach >= 0 else { return nil }
    let count = reach / stride + 1
    guard roundsUp else { return count }
    // The last window must start inside the image or its leading padding (PyTorch's rule).
    return (count - 1) * stride >= size + before ? count - 1 : count
  }
}
