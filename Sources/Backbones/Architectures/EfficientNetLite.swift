// SPDX-License-Identifier: Apache-2.0

package import ThawNetwork

/// EfficientNet-Lite: EfficientNet without squeeze-and-excitation and with ReLU6, for CPUs.
///
/// | name | padding | batch-norm epsilon, momentum |
/// |---|---|---|
/// | `efficientnet_lite0` (timm's `tf_efficientnet_lite0`) | TensorFlow's "same" | 1e-3, 0.01 (0.99 in TensorFlow's terms) |
/// | `efficientnet_lite0_timm` (timm's `efficientnet_lite0`) | half the kernel on every side | 1e-5, 0.1 |
///
/// Layer names are timm's: `conv_stem`, `blocks.STAGE.INDEX.conv_dw`, …
///
/// Layer groups: `early` (stem, stages 0-2, to stride 8), `middle` (stages 3-4, stride 16), `late`
/// (stages 5-6 and the 1x1 top, stride 32), `head`.
///
/// - Source: Tan and Le 2019, arXiv:1905.11946; the Lite variants: tensorflow/tpu, models/official/
///   efficientnet/lite (no scaling of stem and top, first and last stage keep their repeats).
package struct EfficientNetLite: NetworkFamily {
  static let names = ["", "_timm"].flatMap { ending in
    EfficientNetScaling.variants.map { "efficientnet_lite\($0)\(ending)" }
  }
  private let name: String
  private let scaling: EfficientNetScaling
  /// Whether it is timm's own, which was not ported from TensorFlow.
  private let isTimms: Bool

  init?(name: String) {
    guard let index = EfficientNetLite.names.firstIndex(of: name) else { return nil }
    let count = EfficientNetScaling.variants.count
    self.init(variant: index % count, isTimms: index >= count)
  }

  /// The variant `number`, 0 to 4; nil for any other.
  ///
  /// - Parameter isTimms: whether it is timm's own, which was not ported from TensorFlow.
  package init?(variant number: Int, isTimms: Bool = false) {
    guard let scaling = EfficientNetScaling(variant: number, keepsEnds: true) else { return nil }
    name = "efficientnet_lite\(number)\(isTimms ? "_timm" : "")"
    self.scaling = scaling
    self.isTimms = isTimms
  }

  /// The network with `head` behind its 1280 pooled features.
  package func graph(head: Head) -> Graph {
    var builder = GraphBuilder(name: name, inputChannels: 3, firstGroup: "early")
    add(&builder, "conv_stem", "bn1", convolution(3, 32, kernel: 3, stride: 2))
    builder.add("act1", .activation(.relu6))
    var channels = 32
    for (stage, shape) in EfficientNetScaling.stages.enumerated() {
      if stage == 3 { builder.beginGroup("middle") }
      if stage == 5 { builder.beginGroup("late") }
      for index in 0..<scaling.repeats(stage) {
        let block = Block(
          path: "blocks.\(stage).\(index)", inputs: channels,
          outputs: scaling.channels(shape.channels),
          expansion: shape.expansion, kernel: shape.kernel, stride: index == 0 ? shape.stride : 1)
        add(&builder, block)
        channels = block.outputs
      }
    }
    add(&builder, "conv_head", "bn2", convolution(channels, 1280, kernel: 1))
    builder.add("act2", .activation(.relu6))
    builder.add("global_pool", .globalAveragePooling)
    builder.add("flatten", .flatten)
    builder.addHead(head, features: 1280, path: "classifier")
    return builder.build()
  }

  /// Translates a name of the `efficientnet-lite-pytorch` checkpoints (`_blocks.3._bn0.weight`).
  package func path(ofPublished name: String) -> ParameterPath? {
    // Those are ported from TensorFlow.
    guard !isTimms else { return ParameterPath(name) }
    let parts = name.split(separator: ".").map(String.init)
    guard let leaf = parts.last, parts.count >= 2 else { return ParameterPath(name) }
    if parts.count == 2, let layer = EfficientNetLite.publishedTopLevel[parts[0]] {
      return "\(layer).\(leaf)"
    }
    guard parts.count == 4, parts[0] == "_blocks", let number = Int(parts[1]),
      let block = scaling.place(ofBlock: number),
      let layer = EfficientNetLite.layer(parts[2], of: block)
    else { return ParameterPath(name) }
    return "blocks.\(block.stage).\(block.index).\(layer).\(leaf)"
  }

  private struct Block {
    let path: ParameterPath
    let inputs: Int
    let outputs: Int
    let expansion: Int
    let kernel: Int
    let stride: Int
  }

  /// An inverted residual: expand 1x1, depthwise, project 1x1, and the shortcut when shapes agree.
  private func add(_ builder: inout GraphBuilder, _ block: Block) {
    let entry = builder.last
    let wide = block.inputs * block.expansion
    var normalization = 1
    if block.expansion != 1 {
      add(
        &builder, "\(block.path).conv_pw", "\(block.path).bn1",
        convolution(block.inputs, wide, kernel: 1))
      builder.add("\(block.path).act1", .activation(.relu6))
      normalization = 2
    }
    add(
      &builder, "\(block.path).conv_dw", "\(block.path).bn\(normalization)",
      convolution(wide, wide, kernel: block.kernel, stride: block.stride, groups: wide))
    builder.add("\(block.path).act\(normalization)", .activation(.relu6))
    add(
      &builder, "\(block.path).\(block.expansion == 1 ? "conv_pw" : "conv_pwl")",
      "\(block.path).bn\(normalization + 1)",
      convolution(wide, block.outputs, kernel: 1))
    if block.stride == 1 && block.inputs == block.outputs {
      builder.add("\(block.path).add", .add, [builder.last, entry])
    }
  }

  private func add(
    _ builder: inout GraphBuilder, _ path: ParameterPath, _ normalization: ParameterPath,
    _ layer: Convolution2D
  ) {
    let style = isTimms ? .torch : NormalizationStyle(epsilon: 1e-3, momentum: 0.01)
    builder.addConvolution(path, normalization, layer, style)
  }

  private func convolution(
    _ inputs: Int, _ outputs: Int, kernel: Int, stride: Int = 1, groups: Int = 1
  ) -> Convolution2D {
    var layer = Convolution2D(inputs, outputs, kernel: kernel, stride: stride, groups: groups)
    if !isTimms { layer.window.padding = .same }
    return layer
  }

  /// The published names count batch norms from 0 and leave 0 out where there is no expansion.
  private static func layer(_ published: String, of block: (stage: Int, index: Int)) -> String? {
    let expands = block.stage > 0
    return switch published {
    case "_expand_conv": "conv_pw"
    case "_depthwise_conv": "conv_dw"
    case "_project_conv": expands ? "conv_pwl" : "conv_pw"
    case "_bn0": "bn1"
    case "_bn1": expands ? "bn2" : "bn1"
    case "_bn2": expands ? "bn3" : "bn2"
    default: nil
    }
  }

  private static let publishedTopLevel = [
    "_conv_stem": "conv_stem", "_bn0": "bn1", "_conv_head": "conv_head", "_bn1": "bn2",
    "_fc": "classifier",
  ]
}
