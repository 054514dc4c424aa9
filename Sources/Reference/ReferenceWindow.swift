// SPDX-License-Identifier: Apache-2.0

import ThawNetwork

/// A window that slides over images of one size: which outputs see the image through which tap.
struct ReferenceWindow {
  let kernel: Extent2D
  let stride: Extent2D
  let dilation: Extent2D
  let insets: EdgeInsets
  let input: Extent2D
  let output: Extent2D

  /// Resolves `window` for images of `input`; `output` is what shape inference said.
  init(_ window: Window2D, input: Extent2D, output: Extent2D) {
    kernel = window.kernel
    stride = window.stride
    dilation = window.dilation
    insets = window.insets(for: input)
    self.input = input
    self.output = output
  }

  /// Taps of the window.
  var taps: Int { kernel.height * kernel.width }
  /// Elements of an output plane.
  var plane: Int { output.height * output.width }
  /// Elements of an input plane.
  var inputPlane: Int { input.height * input.width }
  /// Whether each output reads exactly the input at its own place.
  var isIdentity: Bool {
    taps == 1 && stride == Extent2D(1) && insets == EdgeInsets(0) && input == output
  }

  /// Input row = output row * stride + this.
  func rowOffset(_ tap: Int) -> Int { tap * dilation.height - insets.top }
  /// Input column = output column * stride + this.
  func columnOffset(_ tap: Int) -> Int { tap * dilation.width - insets.left }

  /// Output rows that see the image (not the padding) through row `tap` of the kernel.
  func rows(_ tap: Int) -> Range<Int> {
    ReferenceWindow.span(rowOffset(tap), stride.height, input.height, output.height)
  }
  /// Output columns that see the image through column `tap` of the kernel.
  func columns(_ tap: Int) -> Range<Int> {
    ReferenceWindow.span(columnOffset(tap), stride.width, input.width, output.width)
  }

  /// All o in 0..<outputs with 0 <= o * stride + offset < inputs.
  private static func span(
    _ offset: Int, _ stride: Int, _ inputs: Int, _ outputs: Int
  ) -> Range<Int> {
    let first = offset >= 0 ? 0 : (-offset + stride - 1) / stride
    let past = offset >= inputs ? 0 : (inputs - 1 - offset) / stride + 1
    let end = min(past, outputs)
    return first < end ? first..<end : 0..<0
  }
}
