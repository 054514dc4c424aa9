// SPDX-License-Identifier: Apache-2.0

package import ThawNetwork

/// EfficientNetV2-S, M and L as torchvision has them: early blocks expand by a 3x3 convolution instead of a
/// 1x1 and a depthwise one, and have no squeeze-and-excitation.
///
/// timm's `tf_efficientnetv2` and Keras's pad as TensorFlow does and are other networks.
///
/// Layer groups: `early` (stem, stages 1-3, to stride 8), `middle` (stages 4-5, stride 16), `late` (the
/// stages behind and the 1x1 top, stride 32), `head`. Any input of 32 pixels or more.
///
/// - Source: Tan and Le 2021, arXiv:2104.00298; torchvision.models.efficientnet.
package struct EfficientNetV2: NetworkFamily {
  static let names = variants.map { "efficientnet_v2_\($0.name)" }
  private static let style = NormalizationStyle(epsilon: 1e-3)

  private let name: String
  private let stages: [Stage]

  init?(name: String) {
    let variant = EfficientNetV2.variants.first { name == "efficientnet_v2_\($0.name)" }
    guard let variant else { return nil }
    self.name = name
    stages = variant.stages
  }

  /// The network with `head` behind its 1280 pooled features.
  package func graph(head: Head) -> Graph {
    var builder = GraphBuilder(name: name, inputChannels: 3, firstGroup: "early")
    var channels = stages[0].channels
    add(&builder, "features.0", Convolution2D(3, channels, kernel: 3, stride: 2))
    for (number, stage) in stages.enumerated() {
      if number == 3 { builder.beginGroup("middle") }
      if number == 5 { builder.beginGroup("late") }
      for index in 0..<stage.repeats {
        let path: ParameterPath = "features.\(number + 1).\(index)"
        addBlock(&builder, path, stage, channels, stride: index == 0 ? stage.stride : 1)
        channels = stage.channels
      }
    }
    add(&builder, "features.\(stages.count + 1)", Convolution2D(channels, 1280, kernel: 1))
    builder.add("avgpool", .globalAveragePooling)
    builder.add("flatten", .flatten)
    builder.addHead(head, features: 1280, path: "classifier.1")
    return builder.build()
  }

  private func addBlock(
    _ builder: inout GraphBuilder, _ path: ParameterPath, _ stage: Stage, _ inputs: Int, stride: Int
  ) {
    let entry = builder.last
    let wide = inputs * stage.expansion
    if !stage.isFused {
      add(&builder, "\(path).block.0", Convolution2D(inputs, wide, kernel: 1))
      let excited = add(
        &builder, "\(path).block.1",
        Convolution2D(wide, wide, kernel: 3, stride: stride, groups: wide))
      builder.addGates(
        "\(path).block.2", wide, squeezed: max(1, inputs / 4), reduce: "fc1", activation: .silu,
        expand: "fc2", gates: .sigmoid)
      builder.add("\(path).block.2.gate", .gate, [excited, builder.last])
      addProjection(&builder, "\(path).block.3", wide, stage.channels)
    } else if stage.expansion == 1 {
      let layer = Convolution2D(inputs, stage.channels, kernel: 3, stride: stride)
      add(&builder, "\(path).block.0", layer)
    } else {
      add(&builder, "\(path).block.0", Convolution2D(inputs, wide, kernel: 3, stride: stride))
      addProjection(&builder, "\(path).block.1", wide, stage.channels)
    }
    guard stride == 1 && inputs == stage.channels else { return }
    builder.add("\(path).add", .add, [builder.last, entry])
  }

  @discardableResult
  private func add(
    _ builder: inout GraphBuilder, _ path: ParameterPath, _ layer: Convolution2D
  ) -> NodeID {
    builder.addConvolution(
      "\(path).0", "\(path).1", layer, EfficientNetV2.style, activation: ("\(path).2", .silu))
  }

  private func addProjection(
    _ builder: inout GraphBuilder, _ path: ParameterPath, _ inputs: Int, _ outputs: Int
  ) {
    builder.addConvolution(
      "\(path).0", "\(path).1", Convolution2D(inputs, outputs, kernel: 1), EfficientNetV2.style)
  }

  private struct Stage {
    let isFused: Bool
    let expansion: Int
    let stride: Int
    let channels: Int
    let repeats: Int

    init(fused isFused: Bool, _ expansion: Int, _ stride: Int, _ channels: Int, _ repeats: Int) {
      self.isFused = isFused
      self.expansion = expansion
      self.stride = stride
      self.channels = channels
      self.repeats = repeats
    }
  }

  private static let variants: [(name: String, stages: [Stage])] = [
    (
      "s",
      [
        Stage(fused: true, 1, 1, 24, 2), Stage(fused: true, 4, 2, 48, 4),
        Stage(fused: true, 4, 2, 64, 4), Stage(fused: false, 4, 2, 128, 6),
        Stage(fused: false, 6, 1, 160, 9), Stage(fused: false, 6, 2, 256, 15),
      ]
    ),
    (
      "m",
      [
        Stage(fused: true, 1, 1, 24, 3), Stage(fused: true, 4, 2, 48, 5),
        Stage(fused: true, 4, 2, 80, 5), Stage(fused: false, 4, 2, 160, 7),
        Stage(fused: false, 6, 1, 176, 14), Stage(fused: false, 6, 2, 304, 18),
        Stage(fused: false, 6, 1, 512, 5),
      ]
    ),
    (
      "l",
      [
        Stage(fused: true, 1, 1, 32, 4), Stage(fused: true, 4, 2, 64, 7),
        Stage(fused: true, 4, 2, 96, 7), Stage(fused: false, 4, 2, 192, 10),
        Stage(fused: false, 6, 1, 224, 19), Stage(fused: false, 6, 2, 384, 25),
        Stage(fused: false, 6, 1, 640, 7),
      ]
    ),
  ]
}
