// SPDX-License-Identifier: Apache-2.0

import ThawCheckpoints
import ThawNetwork

extension ONNXImporter {
  mutating func pooling(_ node: ONNXNode) throws {
    let input = try image(node, paddingAllowed: true)
    guard case .channelsFirst = input.layout, node.outputs.dropFirst().allSatisfy(\.isEmpty) else {
      throw failure(node, "an image [N, C, H, W] and a single result are expected")
    }
    let kernel = node.integers("kernel_shape") ?? []
    if node.operation == "MaxPool" {
      // A zero of the padding never beats what a ReLU lets through, nor does minus infinity.
      let window = try window(
        node, kernel: kernel, on: input, padsWithZeros: draft.isNonNegative(input.layer))
      try check(node, window, on: input)
      try set(node, .pooling(.maximum, window), [input])
    } else {
      let includesPadding = node.integer("count_include_pad") ?? 0 == 1
      let window = try window(node, kernel: kernel, on: input, padsWithZeros: includesPadding)
      if !includesPadding { try check(node, window, on: input) }
      try set(node, .pooling(.average(includesPadding: includesPadding), window), [input])
    }
  }

  /// Refuses a window that somewhere covers padding alone.
  private func check(_ node: ONNXNode, _ window: Window2D, on input: Image) throws {
    guard draft.leavesImage(window, on: input.layer) else { return }
    throw failure(node, "its padding is so wide that a window lies in it alone")
  }

  mutating func globalPooling(_ node: ONNXNode, _ operation: Operation) throws {
    let input = try image(node)
    guard case .channelsFirst = input.layout else {
      throw failure(node, "its input is no [N, C, H, W]")
    }
    try set(node, operation, [input])
  }
}
