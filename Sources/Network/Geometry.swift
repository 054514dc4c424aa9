// SPDX-License-Identifier: Apache-2.0

/// A height and a width, in pixels or in kernel taps.
public struct Extent2D: Hashable, Sendable, Codable, CustomStringConvertible {
  /// Rows.
  public var height: Int
  /// Columns.
  public var width: Int
  /// `height` rows and `width` columns.
  public init(height: Int, width: Int) {
    self.height = height
    self.width = width
  }
  /// A square.
  public init(_ side: Int) { self.init(height: side, width: side) }
  /// `7x7`, height first.
  public var description: String { "\(height)x\(width)" }
}

/// Zeros (or, for max pooling, minus infinity) added on each side, in pixels.
public struct EdgeInsets: Hashable, Sendable {
  /// Rows above.
  public var top: Int
  /// Columns before.
  public var left: Int
  /// Rows below.
  public var bottom: Int
  /// Columns after.
  public var right: Int
  /// Pads each side by its own amount.
  public init(top: Int, left: Int, bottom: Int, right: Int) {
    self.top = top
    self.left = left
    self.bottom = bottom
    self.right = right
  }
  /// The same amount on every side.
  public init(_ amount: Int) { self.init(top: amount, left: amount, bottom: amount, right: amount) }
}

/// How a window that slides over an image treats the border.
public enum Padding: Hashable, Sendable {
  /// Fixed amounts, PyTorch's way.
  case explicit(EdgeInsets)
  /// TensorFlow's "same": outputs = ceil(input / stride), the odd pixel goes below and right.
  ///
  /// For an even input and stride 2 this is asymmetric, which is why it is not `.explicit(1)`.
  case same
}

/// The window of a convolution or pooling operation.
public struct Window2D: Hashable, Sendable {
  /// Taps.
  public var kernel: Extent2D
  /// Step between outputs.
  public var stride: Extent2D
  /// Distance between taps (1 = dense).
  public var dilation: Extent2D
  /// Border treatment.
  public var padding: Padding
  /// Whether the last, partial window counts (pooling only; PyTorch's `ceil_mode`).
  public var roundsUp: Bool

  /// A square window.
  public init(
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
  public func insets(for size: Extent2D) -> EdgeInsets {
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
  public func output(for size: Extent2D) -> Extent2D? {
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
