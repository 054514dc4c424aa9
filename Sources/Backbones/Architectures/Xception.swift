// SPDX-License-Identifier: Apache-2.0

package import ThawNetwork

/// Xception as timm has it (`legacy_xception`): residual blocks of separable convolutions.
///
/// A separable convolution is a 3x3 convolution of each channel (`conv1`) and a 1x1 convolution
/// (`pointwise`) with nothing between them. The stem does not pad; blocks 1, 2, 3 and 12 halve the
/// resolution by a maximum, their shortcut is a strided 1x1 convolution. Keras's network pads at strides as
/// TensorFlow does and has other epsilons; a Keras file describes it itself.
///
/// Layer names are timm's. Layer groups: `early` (stem, blocks 1 and 2, to stride 8), `middle` (blocks 3 to
/// 11, stride 16), `late` (block 12 and the last two separable convolutions, stride 32), `head`. Any input
/// of 32 pixels or more.
///
/// - Source: Chollet 2016, arXiv:1610.02357; timm, timm/models/xception.py.
package struct Xception: NetworkFamily {
  static let names = ["xception"]

  init?(name: String) {
    guard Xception.names.contains(name) else { return nil }
  }

  /// The network.
  package init() {}

  private struct Block {
    let inputs: Int
    let outputs: Int
    /// Separable convolutions.
    let repeats: Int
    let stride: Int
    /// Whether the first of them has all outputs already, or the last alone.
    var growsFirst = true
    /// Whether it begins with a ReLU.
    var beginsWithReLU = true
  }

  /// Blocks 1 to 12.
  private static let blocks =
    [
      Block(inputs: 64, outputs: 128, repeats: 2, stride: 2, beginsWithReLU: false),
      Block(inputs: 128, outputs: 256, repeats: 2, stride: 2),
      Block(inputs: 256, outputs: 728, repeats: 2, stride: 2),
    ] + (4...11).map { _ in Block(inputs: 728, outputs: 728, repeats: 3, stride: 1) }
    + [Block(inputs: 728, outputs: 1024, repeats: 2, stride: 2, growsFirst: false)]

  /// The network with `head` behind its 2048 pooled features.
  package func graph(head: Head) -> Graph {
    var builder = GraphBuilder(name: Xception.names[0], inputChannels: 3, firstGroup: "early")
    addStem(&builder, "1", inputs: 3, outputs: 32, stride: 2)
    addStem(&builder, "2", inputs: 32, outputs: 64, stride: 1)
    for (index, block) in Xception.blocks.enumerated() {
      let number = index + 1
      if number == 3 { builder.beginGroup("middle") }
      if number == 12 { builder.beginGroup("late") }
      add(&builder, block, "block\(number)")
    }
    for (number, inputs, outputs) in [(3, 1024, 1536), (4, 1536, 2048)] {
      addSeparable(&builder, "conv\(number)", "bn\(number)", inputs: inputs, outputs: outputs)
      builder.add("act\(number)", .activation(.relu))
    }
    builder.addPooledHead(head, features: 2048, path: "fc", pool: "global_pool")
    return builder.build()
  }

  /// A 3x3 convolution without padding.
  private func addStem(
    _ builder: inout GraphBuilder, _ number: String, inputs: Int, outputs: Int, stride: Int
  ) {
    builder.addConvolution(
      "conv\(number)", "bn\(number)",
      Convolution2D(
        inputs: inputs, outputs: outputs, window: Window2D(kernel: 3, stride: stride)), .torch,
      activation: ("act\(number)", .relu))
  }

  /// One residual block; `rep` is a sequence in timm, and its places are the names.
  private func add(_ builder: inout GraphBuilder, _ block: Block, _ path: ParameterPath) {
    let entry = builder.last
    var shortcut = entry
    if block.stride != 1 || block.inputs != block.outputs {
      shortcut = builder.addConvolution(
        "\(path).skip", "\(path).skipbn",
        Convolution2D(block.inputs, block.outputs, kernel: 1, stride: block.stride), .torch)
    }
    var place = 0
    var source: NodeID? = entry
    for index in 0..<block.repeats {
      if index > 0 || block.beginsWithReLU {
        builder.add("\(path).rep.\(place)", .activation(.relu), source.map { [$0] })
        source = nil
        place += 1
      }
      let isLast = index == block.repeats - 1
      let inputs = block.growsFirst && index > 0 ? block.outputs : block.inputs
      let outputs = block.growsFirst || isLast ? block.outputs : block.inputs
      addSeparable(
        &builder, "\(path).rep.\(place)", "\(path).rep.\(place + 1)", inputs: inputs,
        outputs: outputs, from: source)
      source = nil
      place += 2
    }
    if block.stride != 1 {
      builder.add(
        "\(path).rep.\(place)",
        .pooling(
          .maximum,
          Window2D(kernel: 3, stride: block.stride, padding: .explicit(EdgeInsets(1)))))
    }
    builder.add("\(path).add", .add, [builder.last, shortcut])
  }

  private func addSeparable(
    _ builder: inout GraphBuilder, _ path: ParameterPath, _ normalization: ParameterPath,
    inputs: Int, outputs: Int, from source: NodeID? = nil
  ) {
    builder.add(
      "\(path).conv1", .convolution(Convolution2D(inputs, inputs, kernel: 3, groups: inputs)),
      source.map { [$0] })
    builder.addConvolution(
      "\(path).pointwise", normalization, Convolution2D(inputs, outputs, kernel: 1), .torch)
  }
}
