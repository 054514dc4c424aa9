// SPDX-License-Identifier: Apache-2.0

package import ThawNetwork

/// Inception-ResNet v2 as timm has it, and with the suffix `_keras` as `keras.applications` does: the same
/// network, of which Keras's batch norms have no scale.
///
/// A residual block is several branches side by side, a 1x1 convolution with a bias back to the block's
/// width, and a fixed factor (0.17, 0.1 or 0.2) before the sum. The convolutions that halve the size do
/// not pad.
///
/// Layer names are timm's. Layer groups: `early` (stem, `mixed_5b` and the ten blocks at stride 8), `middle`
/// (`mixed_6a` and the twenty blocks at stride 16), `late` (`mixed_7a`, the ten blocks at stride 32 and
/// `conv2d_7b`), `head`. Any input of 75 pixels or more.
///
/// - Source: Szegedy et al. 2016, arXiv:1602.07261; timm, timm/models/inception_resnet_v2.py; keras,
///   src/applications/inception_resnet_v2.py.
package struct InceptionResNetV2: NetworkFamily {
  static let names = Definition.allCases.map { "inception_resnet_v2\($0.suffix)" }

  private let definition: Definition

  init?(name: String) {
    let (plain, definition) = Definition.split(name)
    guard plain == "inception_resnet_v2" else { return nil }
    self.definition = definition
  }

  /// The network with `head` behind its 1536 pooled features.
  package func graph(head: Head) -> Graph {
    let style: NormalizationStyle =
      definition == .keras
      ? .keras(epsilon: 1e-3, hasScale: false) : NormalizationStyle(epsilon: 1e-3)
    var blocks = InceptionResNetBlocks(
      GraphBuilder(
        name: "inception_resnet_v2\(definition.suffix)", inputChannels: 3, firstGroup: "early"),
      style)
    blocks.addStem()
    for index in 0..<10 {
      blocks.addResidual("repeat.\(index)", InceptionResNetBlocks.eighth, width: 320, scale: 0.17)
    }
    blocks.builder.beginGroup("middle")
    blocks.addMixed("mixed_6a", InceptionResNetBlocks.toSixteenth, width: 320)
    for index in 0..<20 {
      blocks.addResidual(
        "repeat_1.\(index)", InceptionResNetBlocks.sixteenth, width: 1088, scale: 0.1)
    }
    blocks.builder.beginGroup("late")
    blocks.addMixed("mixed_7a", InceptionResNetBlocks.toThirtySecond, width: 1088)
    for index in 0..<9 {
      blocks.addResidual(
        "repeat_2.\(index)", InceptionResNetBlocks.thirtySecond, width: 2080, scale: 0.2)
    }
    blocks.addResidual("block8", InceptionResNetBlocks.thirtySecond, width: 2080, scale: nil)
    blocks.add("conv2d_7b", .init(1536), inputs: 2080)
    blocks.builder.addPooledHead(head, features: 1536, path: "classif", pool: "global_pool")
    return blocks.builder.build()
  }
}

/// Adds the parts of an Inception-ResNet.
private struct InceptionResNetBlocks {
  /// A convolution without bias, a batch norm and a ReLU.
  struct Layer {
    let outputs: Int
    let kernel: Extent2D
    let stride: Int
    let pads: Bool

    init(_ outputs: Int, _ height: Int = 1, _ width: Int? = nil, stride: Int = 1, pads: Bool = true)
    {
      self.outputs = outputs
      kernel = Extent2D(height: height, width: width ?? height)
      self.stride = stride
      self.pads = pads && stride == 1
    }
  }

  var builder: GraphBuilder
  private let style: NormalizationStyle

  init(_ builder: GraphBuilder, _ style: NormalizationStyle) {
    self.builder = builder
    self.style = style
  }

  // MARK: Branches

  static let eighth = [
    [Layer(32)], [Layer(32), Layer(32, 3)], [Layer(32), Layer(48, 3), Layer(64, 3)],
  ]
  static let sixteenth = [[Layer(192)], [Layer(128), Layer(160, 1, 7), Layer(192, 7, 1)]]
  static let thirtySecond = [[Layer(192)], [Layer(192), Layer(224, 1, 3), Layer(256, 3, 1)]]
  static let toSixteenth = [
    [Layer(384, 3, stride: 2)], [Layer(256), Layer(256, 3), Layer(384, 3, stride: 2)],
  ]
  static let toThirtySecond = [
    [Layer(256), Layer(384, 3, stride: 2)], [Layer(256), Layer(288, 3, stride: 2)],
    [Layer(256), Layer(288, 3), Layer(320, 3, stride: 2)],
  ]

  mutating func addStem() {
    let small = Window2D(kernel: 3, stride: 2)
    add("conv2d_1a", Layer(32, 3, stride: 2), inputs: 3)
    add("conv2d_2a", Layer(32, 3, pads: false), inputs: 32)
    add("conv2d_2b", Layer(64, 3), inputs: 32)
    builder.add("maxpool_3a", .pooling(.maximum, small))
    add("conv2d_3b", Layer(80), inputs: 64)
    add("conv2d_4a", Layer(192, 3, pads: false), inputs: 80)
    builder.add("maxpool_5a", .pooling(.maximum, small))
    let entry = builder.last
    var ends = addBranches(
      "mixed_5b",
      [[Layer(96)], [Layer(48), Layer(64, 5)], [Layer(64), Layer(96, 3), Layer(96, 3)]],
      width: 192)
    builder.add(
      "mixed_5b.branch3.0",
      .pooling(
        .average(includesPadding: false), Window2D(kernel: 3, padding: .explicit(EdgeInsets(1)))),
      [entry])
    ends.append(add("mixed_5b.branch3.1", Layer(64), inputs: 192))
    builder.add("mixed_5b.cat", .concatenate, ends)
  }

  /// Branches that halve the size, and a maximum pooling beside them.
  mutating func addMixed(_ path: ParameterPath, _ branches: [[Layer]], width: Int) {
    let entry = builder.last
    let ends = addBranches(path, branches, width: width)
    let pool = builder.add(
      "\(path).branch\(branches.count)", .pooling(.maximum, Window2D(kernel: 3, stride: 2)), [entry]
    )
    builder.add("\(path).cat", .concatenate, ends + [pool])
  }

  /// - Parameter scale: of what is added; nil for the last block, which has neither a factor nor a ReLU.
  mutating func addResidual(
    _ path: ParameterPath, _ branches: [[Layer]], width: Int, scale: Double?
  ) {
    let entry = builder.last
    let ends = addBranches(path, branches, width: width)
    builder.add("\(path).cat", .concatenate, ends)
    builder.add(
      "\(path).conv2d",
      .convolution(
        Convolution2D(
          branches.compactMap { $0.last?.outputs }.reduce(0, +), width, kernel: 1, hasBias: true)))
    if let scale {
      builder.add(
        "\(path).scale", .channelScale(ChannelScale(channels: width, constant: scale)))
    }
    builder.add("\(path).add", .add, [builder.last, entry])
    if scale != nil { builder.add("\(path).act", .activation(.relu)) }
  }

  /// timm numbers the layers of a branch, unless it is a single one.
  private mutating func addBranches(
    _ path: ParameterPath, _ branches: [[Layer]], width: Int
  ) -> [NodeID] {
    let entry = builder.last
    return branches.enumerated().map { index, layers in
      var (inputs, last) = (width, entry)
      for (place, layer) in layers.enumerated() {
        let name = layers.count == 1 ? "" : ".\(place)"
        last = add("\(path).branch\(index)\(name)", layer, inputs: inputs, from: last)
        inputs = layer.outputs
      }
      return last
    }
  }

  @discardableResult
  mutating func add(
    _ path: ParameterPath, _ layer: Layer, inputs: Int, from source: NodeID? = nil
  ) -> NodeID {
    let padding =
      layer.pads
      ? EdgeInsets(
        top: layer.kernel.height / 2, left: layer.kernel.width / 2,
        bottom: layer.kernel.height / 2, right: layer.kernel.width / 2)
      : EdgeInsets(0)
    var window = Window2D(kernel: 1, stride: layer.stride, padding: .explicit(padding))
    window.kernel = layer.kernel
    return builder.addConvolution(
      "\(path).conv", "\(path).bn",
      Convolution2D(inputs: inputs, outputs: layer.outputs, window: window), style,
      activation: ("\(path).act", .relu), from: source)
  }
}
