// SPDX-License-Identifier: Apache-2.0

import Glibc
package import ThawNetwork

/// EfficientNetV2: early blocks expand by a 3x3 convolution instead of a 1x1 and a depthwise one, and have no
/// squeeze-and-excitation.
///
/// | name | padding | batch-norm epsilon | layer names |
/// |---|---|---|---|
/// | `efficientnet_v2_s` | half the kernel on every side | 1e-3 | torchvision's |
/// | `efficientnetv2_s`, `efficientnetv2_rw_s` | half the kernel on every side | 1e-5 | timm's |
/// | `tf_efficientnetv2_s`, `tf_efficientnetv2_b0` | TensorFlow's "same" | 1e-3 | timm's |
///
/// `rw` are timm's own, made before the published ones. Keras's network is described by its own file.
///
/// Layer groups: `early` (stem, stages 1-3, to stride 8), `middle` (stages 4-5, stride 16), `late` (the
/// stages behind and the 1x1 top, stride 32), `head`. Any input of 32 pixels or more.
///
/// - Source: Tan and Le 2021, arXiv:2104.00298; torchvision.models.efficientnet; timm, timm/models/efficientnet.py.
package struct EfficientNetV2: NetworkFamily {
  /// Whose network is followed.
  private enum Convention: String {
    case torchvision = "efficientnet_v2_"
    case timm = "efficientnetv2_"
    case tensorFlow = "tf_efficientnetv2_"
  }

  private static let members: [(Convention, [Variant])] = [
    (.torchvision, [.small, .medium, .large]),
    (.timm, [.small, .medium, .large, .huge, .ownTiny, .ownSmall, .ownMedium]),
    (.tensorFlow, [.small, .medium, .large, .huge] + Variant.base),
  ]

  static let names = members.flatMap { convention, variants in
    variants.map { convention.rawValue + $0.name }
  }

  private let name: String
  private let convention: Convention
  private let variant: Variant

  init?(name: String) {
    for (convention, variants) in EfficientNetV2.members {
      guard let variant = variants.first(where: { name == convention.rawValue + $0.name }) else {
        continue
      }
      (self.name, self.convention, self.variant) = (name, convention, variant)
      return
    }
    return nil
  }

  /// The network with `head` behind its pooled features, 1280 in most.
  package func graph(head: Head) -> Graph {
    var builder = GraphBuilder(name: name, inputChannels: 3, firstGroup: "early")
    var channels = variant.stem
    add(&builder, convolution(3, channels, kernel: 3, stride: 2), stemNames)
    for (number, stage) in variant.stages.enumerated() {
      if number == 3 { builder.beginGroup("middle") }
      if number == 5 { builder.beginGroup("late") }
      for index in 0..<stage.repeats {
        let block = Block(
          path: convention == .torchvision
            ? "features.\(number + 1).\(index)" : "blocks.\(number).\(index)", inputs: channels,
          outputs: stage.channels, stride: index == 0 ? stage.stride : 1)
        addBlock(&builder, block, stage)
        channels = stage.channels
      }
    }
    add(&builder, convolution(channels, variant.top, kernel: 1), topNames)
    builder.add("avgpool", .globalAveragePooling)
    builder.add("flatten", .flatten)
    let path: ParameterPath = convention == .torchvision ? "classifier.1" : "classifier"
    builder.addHead(head, features: variant.top, path: path)
    return builder.build()
  }

  private struct Block {
    let path: ParameterPath
    let inputs: Int
    let outputs: Int
    let stride: Int
  }

  private func addBlock(_ builder: inout GraphBuilder, _ block: Block, _ stage: Stage) {
    let entry = builder.last
    let (path, inputs, stride) = (block.path, block.inputs, block.stride)
    let wide = inputs * stage.expansion
    switch stage.kind {
    case .plain:
      add(
        &builder, convolution(inputs, block.outputs, kernel: 3, stride: stride),
        names(path, "conv", 0, 1))
    case .fused:
      add(
        &builder, convolution(inputs, wide, kernel: 3, stride: stride),
        names(path, "conv_exp", 0, 1))
      addProjection(&builder, wide, block.outputs, names(path, "conv_pwl", 1, 2))
    case .inverted:
      add(&builder, convolution(inputs, wide, kernel: 1), names(path, "conv_pw", 0, 1))
      let excited = add(
        &builder, convolution(wide, wide, kernel: 3, stride: stride, groups: wide),
        names(path, "conv_dw", 1, 2))
      let isOwn = convention == .torchvision
      let gates: ParameterPath = isOwn ? "\(path).block.2" : "\(path).se"
      builder.addGates(
        gates, wide, squeezed: max(1, inputs / 4), reduce: isOwn ? "fc1" : "conv_reduce",
        activation: .silu, expand: isOwn ? "fc2" : "conv_expand", gates: .sigmoid)
      builder.add("\(gates).gate", .gate, [excited, builder.last])
      addProjection(&builder, wide, block.outputs, names(path, "conv_pwl", 3, 3))
    }
    guard stride == 1 && inputs == block.outputs else { return }
    builder.add("\(path).add", .add, [builder.last, entry])
  }

  /// A convolution, its batch norm and SiLU.
  @discardableResult
  private func add(
    _ builder: inout GraphBuilder, _ layer: Convolution2D, _ names: LayerNames
  ) -> NodeID {
    builder.addConvolution(names, layer, style, activation: .silu)
  }

  private func addProjection(
    _ builder: inout GraphBuilder, _ inputs: Int, _ outputs: Int, _ names: LayerNames
  ) {
    builder.addConvolution(names, convolution(inputs, outputs, kernel: 1), style)
  }

  private func convolution(
    _ inputs: Int, _ outputs: Int, kernel: Int, stride: Int = 1, groups: Int = 1
  ) -> Convolution2D {
    var layer = Convolution2D(inputs, outputs, kernel: kernel, stride: stride, groups: groups)
    if convention == .tensorFlow { layer.window.padding = .same }
    return layer
  }

  private var style: NormalizationStyle {
    convention == .timm ? .torch : NormalizationStyle(epsilon: 1e-3)
  }
}

// MARK: Names

extension EfficientNetV2 {
  private var stemNames: LayerNames {
    convention == .torchvision
      ? LayerNames(sequence: "features.0") : LayerNames("conv_stem", "bn1", "act1")
  }

  private var topNames: LayerNames {
    convention == .torchvision
      ? LayerNames(sequence: "features.\(variant.stages.count + 1)")
      : LayerNames("conv_head", "bn2", "act2")
  }

  /// - Parameters:
  ///   - layer: timm's name of a convolution of the block at `path`.
  ///   - place: where torchvision has it in the block.
  ///   - number: which of the block's batch norms timm has behind it.
  private func names(
    _ path: ParameterPath, _ layer: String, _ place: Int, _ number: Int
  ) -> LayerNames {
    convention == .torchvision
      ? LayerNames(sequence: "\(path).block.\(place)")
      : LayerNames("\(path).\(layer)", "\(path).bn\(number)", "\(path).act\(number)")
  }
}

// MARK: Shapes

extension EfficientNetV2 {
  private struct Stage {
    enum Kind {
      /// One 3x3 convolution.
      case plain
      /// 3x3 to many channels, 1x1 back.
      case fused
      /// 1x1 to many channels, depthwise 3x3, gates, 1x1 back.
      case inverted
    }

    let kind: Kind
    let expansion: Int
    let stride: Int
    var channels: Int
    var repeats: Int

    init(_ kind: Kind, _ expansion: Int, _ stride: Int, _ channels: Int, _ repeats: Int) {
      self.kind = kind
      self.expansion = expansion
      self.stride = stride
      self.channels = channels
      self.repeats = repeats
    }
  }

  private struct Variant {
    var name: String
    var stages: [Stage]
    /// Channels of the first convolution; those of the first stage.
    var stem: Int
    /// Channels of the last one.
    var top = 1280

    init(_ name: String, stem: Int, _ stages: [Stage]) {
      (self.name, self.stem, self.stages) = (name, stem, stages)
    }

    /// The same with channels and blocks multiplied.
    ///
    /// - Parameters:
    ///   - width: of channels; they become a multiple of 8.
    ///   - depth: of blocks, rounded up, for each stage.
    ///   - isNearest: whether channels become the nearest multiple, however far below it is; else not more than
    ///     10 % below.
    func scaled(
      _ name: String, width: Double, depth: [Double], isNearest: Bool = false
    ) -> Variant {
      func channels(_ count: Int) -> Int {
        let wanted = Double(count) * width
        return isNearest
          ? ChannelRounding.nearestMultipleOf8(wanted) : ChannelRounding.multipleOf8(wanted)
      }
      var result = self
      result.name = name
      (result.stem, result.top) = (channels(stem), channels(top))
      for index in stages.indices {
        result.stages[index].channels = channels(stages[index].channels)
        result.stages[index].repeats = Int(ceil(Double(stages[index].repeats) * depth[index]))
      }
      return result
    }

    static let small = Variant(
      "s", stem: 24,
      [
        Stage(.plain, 1, 1, 24, 2), Stage(.fused, 4, 2, 48, 4), Stage(.fused, 4, 2, 64, 4),
        Stage(.inverted, 4, 2, 128, 6), Stage(.inverted, 6, 1, 160, 9),
        Stage(.inverted, 6, 2, 256, 15),
      ])
    static let medium = Variant(
      "m", stem: 24,
      [
        Stage(.plain, 1, 1, 24, 3), Stage(.fused, 4, 2, 48, 5), Stage(.fused, 4, 2, 80, 5),
        Stage(.inverted, 4, 2, 160, 7), Stage(.inverted, 6, 1, 176, 14),
        Stage(.inverted, 6, 2, 304, 18), Stage(.inverted, 6, 1, 512, 5),
      ])
    static let large = Variant(
      "l", stem: 32,
      [
        Stage(.plain, 1, 1, 32, 4), Stage(.fused, 4, 2, 64, 7), Stage(.fused, 4, 2, 96, 7),
        Stage(.inverted, 4, 2, 192, 10), Stage(.inverted, 6, 1, 224, 19),
        Stage(.inverted, 6, 2, 384, 25), Stage(.inverted, 6, 1, 640, 7),
      ])
    static let huge = Variant(
      "xl", stem: 32,
      [
        Stage(.plain, 1, 1, 32, 4), Stage(.fused, 4, 2, 64, 8), Stage(.fused, 4, 2, 96, 8),
        Stage(.inverted, 4, 2, 192, 16), Stage(.inverted, 6, 1, 256, 24),
        Stage(.inverted, 6, 2, 512, 32), Stage(.inverted, 6, 1, 640, 8),
      ])

    /// timm's own.
    static let ownTiny = small.scaled("rw_t", width: 0.8, depth: [Double](repeating: 0.9, count: 6))
    static let ownSmall: Variant = {
      var variant = small
      (variant.name, variant.top) = ("rw_s", 1792)
      variant.stages[0] = Stage(.fused, 1, 1, 24, 2)
      variant.stages[5].channels = 272
      return variant
    }()
    static let ownMedium = ownSmall.scaled(
      "rw_m", width: 1.2, depth: [1.2, 1.2, 1.2, 1.2, 1.6, 1.6])

    /// B0 to B3.
    static let base: [Variant] = {
      let first = Variant(
        "b0", stem: 32,
        [
          Stage(.plain, 1, 1, 16, 1), Stage(.fused, 4, 2, 32, 2), Stage(.fused, 4, 2, 48, 2),
          Stage(.inverted, 4, 2, 96, 3), Stage(.inverted, 6, 1, 112, 5),
          Stage(.inverted, 6, 2, 192, 8),
        ])
      let others = [(1.0, 1.1), (1.1, 1.2), (1.2, 1.4)]
      return [first]
        + others.enumerated().map { index, scale in
          first.scaled(
            "b\(index + 1)", width: scale.0, depth: [Double](repeating: scale.1, count: 6),
            isNearest: true)
        }
    }()
  }
}
