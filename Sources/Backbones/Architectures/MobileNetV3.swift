// SPDX-License-Identifier: Apache-2.0

package import ThawNetwork

/// MobileNetV3, large and small: inverted residuals with hard-swish, and gates by hard-sigmoid.
///
/// | name | padding | batch-norm epsilon, momentum | layer names |
/// |---|---|---|---|
/// | `mobilenet_v3_large` | half the kernel on every side | 1e-3, 0.01 | torchvision's |
/// | `mobilenetv3_large_100` | half the kernel on every side | 1e-5, 0.1 | timm's |
/// | `tf_mobilenetv3_large_100` | TensorFlow's "same" | 1e-3, 0.1 | timm's |
///
/// The layer behind the pooling is trained with the rest and belongs to the features: a dense layer in
/// torchvision, a 1x1 convolution on one pixel in timm. Keras's network is described by its own file.
///
/// Layer groups: `early` (to stride 8), `middle` (stride 16), `late` (stride 32 and the layer behind the
/// pooling), `head`. Any input of 32 pixels or more.
///
/// - Source: Howard et al. 2019, arXiv:1905.02244; torchvision.models.mobilenetv3; timm's
///   `mobilenetv3_large_100` and `tf_mobilenetv3_large_100`.
package struct MobileNetV3: NetworkFamily {
  /// Whose network is followed.
  private enum Convention: String {
    case torchvision = "mobilenet_v3_"
    case timm = "mobilenetv3_"
    case tensorFlow = "tf_mobilenetv3_"
  }

  static let names =
    ["mobilenet_v3_large", "mobilenet_v3_small"]
    + ["large_100", "large_075", "small_100", "small_075", "small_050"].map { "mobilenetv3_\($0)" }
    + ["large_100", "large_075", "small_100", "small_075"].map { "tf_mobilenetv3_\($0)" }

  private let name: String
  private let convention: Convention
  private let variant: Variant
  /// All channels are multiplied by it.
  private let width: Double

  init?(name: String) {
    guard MobileNetV3.names.contains(name) else { return nil }
    self.name = name
    convention = name.hasPrefix("tf_") ? .tensorFlow : name.contains("_v3_") ? .torchvision : .timm
    variant = name.contains("large") ? .large : .small
    width = name.hasSuffix("_075") ? 0.75 : name.hasSuffix("_050") ? 0.5 : 1
  }

  /// The network with `head` behind its features, 1280 in the large one and 1024 in the small one.
  package func graph(head: Head) -> Graph {
    var builder = GraphBuilder(name: name, inputChannels: 3, firstGroup: "early")
    // timm keeps the stem of its narrowest networks.
    var channels = width < 0.75 ? 16 : scaled(16)
    add(
      &builder, convolution(3, channels, kernel: 3, stride: 2), stemNames, .hardSwish)
    var number = 0
    for (stage, blocks) in variant.stages.enumerated() {
      if stage == variant.firstMiddle { builder.beginGroup("middle") }
      if stage == variant.firstLate { builder.beginGroup("late") }
      for (index, shape) in blocks.enumerated() {
        number += 1
        let names =
          convention == .torchvision
          ? BlockNames(
            torchvision: "features.\(number)", expands: shape.expansion != 1, shape.gates)
          : BlockNames(timm: "blocks.\(stage).\(index)", expands: shape.expansion != 1)
        channels = addBlock(&builder, shape, inputs: channels, names)
      }
    }
    let wide = scaled(variant.top)
    add(&builder, convolution(channels, wide, kernel: 1), topNames(number + 1), .hardSwish)
    addFeatures(&builder, inputs: wide, outputs: variant.features)
    let path: ParameterPath = convention == .torchvision ? "classifier.3" : "classifier"
    builder.addHead(head, features: variant.features, path: path)
    return builder.build()
  }

  /// Pooling and the layer behind it.
  private func addFeatures(_ builder: inout GraphBuilder, inputs: Int, outputs: Int) {
    guard convention == .torchvision else {
      builder.add("global_pool", .globalAveragePooling)
      builder.add(
        "conv_head", .convolution(Convolution2D(inputs, outputs, kernel: 1, hasBias: true)))
      builder.add("act2", .activation(.hardSwish))
      builder.add("flatten", .flatten)
      return
    }
    builder.add("avgpool", .globalAveragePooling)
    builder.add("flatten", .flatten)
    builder.add("classifier.0", .dense(Dense(inputs: inputs, outputs: outputs)))
    builder.add("classifier.1", .activation(.hardSwish))
  }

  /// An inverted residual: expand 1x1, depthwise, gates, project 1x1, and the shortcut when shapes agree.
  private func addBlock(
    _ builder: inout GraphBuilder, _ shape: Block, inputs: Int, _ names: BlockNames
  ) -> Int {
    let entry = builder.last
    let outputs = scaled(shape.channels)
    let function: Activation = shape.isHard ? .hardSwish : .relu
    let wide = ChannelRounding.multipleOf8(Double(inputs) * shape.expansion)
    if shape.expansion != 1 {
      add(&builder, convolution(inputs, wide, kernel: 1), names.expand, function)
    }
    let spread = add(
      &builder,
      convolution(wide, wide, kernel: shape.kernel, stride: shape.stride, groups: wide),
      names.depthwise, function)
    if shape.gates {
      let (reduce, expand) =
        convention == .torchvision ? ("fc1", "fc2") : ("conv_reduce", "conv_expand")
      builder.addGates(
        names.gates, wide, squeezed: ChannelRounding.multipleOf8(Double(wide) * 0.25),
        reduce: reduce,
        activation: .relu, expand: expand, gates: .hardSigmoid)
      builder.add("\(names.gates).gate", .gate, [spread, builder.last])
    }
    builder.addConvolution(names.project, convolution(wide, outputs, kernel: 1), style)
    if shape.stride == 1 && inputs == outputs {
      builder.add("\(names.block).add", .add, [builder.last, entry])
    }
    return outputs
  }

  /// Convolution, batch norm and activation.
  @discardableResult
  private func add(
    _ builder: inout GraphBuilder, _ layer: Convolution2D, _ names: LayerNames,
    _ function: Activation
  ) -> NodeID {
    builder.addConvolution(names, layer, style, activation: function)
  }

  private var style: NormalizationStyle {
    switch convention {
    case .torchvision: NormalizationStyle(epsilon: 1e-3, momentum: 0.01)
    case .timm: .torch
    case .tensorFlow: NormalizationStyle(epsilon: 1e-3)
    }
  }

  private func convolution(
    _ inputs: Int, _ outputs: Int, kernel: Int, stride: Int = 1, groups: Int = 1
  ) -> Convolution2D {
    var layer = Convolution2D(inputs, outputs, kernel: kernel, stride: stride, groups: groups)
    if convention == .tensorFlow { layer.window.padding = .same }
    return layer
  }

  private func scaled(_ channels: Int) -> Int {
    ChannelRounding.multipleOf8(Double(channels) * width)
  }
}

// MARK: Names

extension MobileNetV3 {
  private struct BlockNames {
    let block: ParameterPath
    let expand: LayerNames
    let depthwise: LayerNames
    let gates: ParameterPath
    let project: LayerNames

    /// torchvision keeps the layers of a block in a sequence, without those that it has not.
    init(torchvision path: String, expands: Bool, _ hasGates: Bool) {
      let first = expands ? 1 : 0
      block = ParameterPath(path)
      expand = LayerNames(sequence: "\(path).block.0")
      depthwise = LayerNames(sequence: "\(path).block.\(first)")
      gates = "\(path).block.\(first + 1)"
      project = LayerNames(sequence: "\(path).block.\(first + (hasGates ? 2 : 1))")
    }

    init(timm path: String, expands: Bool) {
      func names(_ layer: String, _ number: Int) -> LayerNames {
        LayerNames("\(path).\(layer)", "\(path).bn\(number)", "\(path).act\(number)")
      }
      block = ParameterPath(path)
      expand = names("conv_pw", 1)
      depthwise = names("conv_dw", expands ? 2 : 1)
      gates = "\(path).se"
      project = expands ? names("conv_pwl", 3) : names("conv_pw", 2)
    }
  }

  private var stemNames: LayerNames {
    convention == .torchvision
      ? LayerNames(sequence: "features.0") : LayerNames("conv_stem", "bn1", "act1")
  }

  /// - Parameter number: of the blocks, and one.
  private func topNames(_ number: Int) -> LayerNames {
    let path = "blocks.\(variant.stages.count).0"
    return convention == .torchvision
      ? LayerNames(sequence: "features.\(number)")
      : LayerNames("\(path).conv", "\(path).bn1", "\(path).act1")
  }
}

// MARK: Shapes

extension MobileNetV3 {
  private struct Block {
    let kernel: Int
    let stride: Int
    /// Channels of the depthwise convolution by those of the input.
    let expansion: Double
    let channels: Int
    let gates: Bool
    /// Whether its activation is hard-swish, else ReLU.
    let isHard: Bool

    init(
      _ kernel: Int, _ stride: Int, _ expansion: Double, _ channels: Int, gates: Bool = false,
      hard: Bool = true
    ) {
      (self.kernel, self.stride, self.expansion) = (kernel, stride, expansion)
      (self.channels, self.gates, isHard) = (channels, gates, hard)
    }
  }

  private struct Variant {
    let stages: [[Block]]
    /// The stages with which the groups begin.
    let firstMiddle: Int
    let firstLate: Int
    /// Channels of the last convolution before the pooling.
    let top: Int
    /// Outputs of the layer behind it, whatever the width.
    let features: Int

    static let large = Variant(
      stages: [
        [Block(3, 1, 1, 16, hard: false)],
        [Block(3, 2, 4, 24, hard: false), Block(3, 1, 3, 24, hard: false)],
        [Block(5, 2, 3, 40, gates: true, hard: false)]
          + (1...2).map { _ in Block(5, 1, 3, 40, gates: true, hard: false) },
        [Block(3, 2, 6, 80), Block(3, 1, 2.5, 80), Block(3, 1, 2.3, 80), Block(3, 1, 2.3, 80)],
        (1...2).map { _ in Block(3, 1, 6, 112, gates: true) },
        [Block(5, 2, 6, 160, gates: true)] + (1...2).map { _ in Block(5, 1, 6, 160, gates: true) },
      ], firstMiddle: 3, firstLate: 5, top: 960, features: 1280)

    static let small = Variant(
      stages: [
        [Block(3, 2, 1, 16, gates: true, hard: false)],
        [Block(3, 2, 4.5, 24, hard: false), Block(3, 1, 3.67, 24, hard: false)],
        [Block(5, 2, 4, 40, gates: true)] + (1...2).map { _ in Block(5, 1, 6, 40, gates: true) },
        (1...2).map { _ in Block(5, 1, 3, 48, gates: true) },
        [Block(5, 2, 6, 96, gates: true)] + (1...2).map { _ in Block(5, 1, 6, 96, gates: true) },
      ], firstMiddle: 2, firstLate: 4, top: 576, features: 1024)
  }
}
