// SPDX-License-Identifier: Apache-2.0

import Testing
import ThawNetwork

@Suite struct Window2DTests {
  private func outputs(
    _ size: Int, kernel: Int, stride: Int, padding: Padding, dilation: Int = 1,
    roundsUp: Bool = false
  ) -> Int? {
    let window = Window2D(
      kernel: kernel, stride: stride, dilation: dilation, padding: padding, roundsUp: roundsUp)
    return window.output(for: Extent2D(height: size, width: 100))?.height
  }

  /// size, kernel, stride, padding, dilation -> outputs of torch.nn.functional.max_pool2d (2.x) with
  /// ceil_mode off and on; nil where it raises.
  static let poolings: [([Int], Int?, Int?)] = [
    ([7, 3, 2, 1, 1], 4, 4), ([6, 2, 3, 0, 1], 2, 2), ([5, 2, 3, 1, 1], 2, 2),
    ([10, 3, 2, 0, 1], 4, 5), ([112, 3, 2, 1, 1], 56, 57), ([4, 2, 3, 1, 1], 2, 2),
    ([7, 2, 3, 1, 1], 3, 3), ([9, 3, 4, 1, 2], 2, 3), ([5, 1, 3, 0, 1], 2, 2),
    ([6, 3, 3, 1, 1], 2, 3), ([1, 2, 2, 1, 1], 1, 1), ([2, 2, 4, 1, 1], 1, 1),
    ([1, 2, 2, 0, 1], nil, 1), ([1, 3, 2, 0, 1], nil, nil), ([1, 3, 3, 0, 1], nil, 1),
    ([2, 3, 2, 0, 1], nil, 1), ([1, 4, 2, 0, 1], nil, nil), ([2, 3, 2, 0, 2], nil, nil),
    ([1, 2, 1, 0, 1], nil, nil),
  ]

  @Test(arguments: poolings)
  func outputsAreThoseOfPyTorch(_ golden: (of: [Int], floor: Int?, ceiling: Int?)) {
    for (roundsUp, expected) in [(false, golden.floor), (true, golden.ceiling)] {
      let actual = outputs(
        golden.of[0], kernel: golden.of[1], stride: golden.of[2],
        padding: .explicit(EdgeInsets(golden.of[3])), dilation: golden.of[4], roundsUp: roundsUp)
      #expect(actual == expected, "\(golden.of), rounding up: \(roundsUp)")
    }
  }

  /// size, kernel, stride, dilation -> before, after; TensorFlow's formula by hand.
  @Test(arguments: [
    ([224, 3, 2, 1], 0, 1), ([225, 3, 2, 1], 1, 1), ([112, 5, 2, 1], 1, 2), ([7, 5, 1, 1], 2, 2),
    ([7, 1, 2, 1], 0, 0), ([8, 1, 2, 1], 0, 0), ([9, 3, 1, 2], 2, 2), ([8, 4, 1, 1], 1, 2),
  ])
  func samePaddingPutsTheOddPixelBehind(_ golden: (of: [Int], before: Int, after: Int)) {
    let size = golden.of[0]
    let window = Window2D(
      kernel: golden.of[1], stride: golden.of[2], dilation: golden.of[3], padding: .same)
    let insets = window.insets(for: Extent2D(height: size, width: size))
    #expect(insets.top == golden.before && insets.bottom == golden.after)
    #expect(insets.left == golden.before && insets.right == golden.after)
    let expected = (size + golden.of[2] - 1) / golden.of[2]
    #expect(window.output(for: Extent2D(size)) == Extent2D(expected))
  }

  @Test func heightAndWidthAreIndependent() {
    var window = Window2D(kernel: 3)
    window.kernel = Extent2D(height: 1, width: 7)
    window.stride = Extent2D(height: 2, width: 1)
    window.padding = .explicit(EdgeInsets(top: 0, left: 3, bottom: 0, right: 3))
    #expect(
      window.output(for: Extent2D(height: 9, width: 12)) == Extent2D(height: 5, width: 12))
  }

  @Test func anEmptyImageHoldsNoWindow() {
    #expect(outputs(0, kernel: 3, stride: 1, padding: .explicit(EdgeInsets(2))) == nil)
  }
}
