// SPDX-License-Identifier: Apache-2.0

package import ThawNetwork

/// MobileNet (v1): a depthwise and a 1x1 convolution in turn, ReLU6 behind each.
///
/// | name | padding | batch norm | whose |
/// |---|---|---|---|
/// | `mobilenetv1_100` | half the kernel on every side | epsilon 1e-5, momentum 0.1 | timm |
/// | `mobilenetv1_100_keras` | TensorFlow's "same" | 1e-3, 0.01 | transformers, Keras |
///
/// Layer names are timm's. Layer groups: `early` (stem and stages 0-2, to stride 8), `middle` (stage 3, stride
/// 16), `late` (stage 4), `head`. Any input of 32 pixels or more.
///
/// - Source: Howard et al. 2017, arXiv:1704.04861; timm/models/mobilenetv3.py (`mobilenetv1_100`).
package struct MobileNetV1: NetworkFamily {
  static let names = widths.flatMap { width in
    Definition.allCases.map { "mobilenetv1_\(width.name)\($0.suffix)" }
  }
  private static let widths: [(name: String, factor: Double)] = [
    ("100", 1), ("125", 1.25), ("075", 0.75), ("050", 0.5),
  ]

  private let name: String
  private let width: Double
  private let definition: Definition

  init?(name: String) {
    let (base, definition) = Definition.split(name)
    guard let width = MobileNetV1.widths.first(where: { base == "mobilenetv1_\($0.name)" }) else {
      return nil
    }
    self.name = name
    self.width = width.factor
    self.definition = definition
  }

  /// The network with `head` behind its pooled features, 1024 at the usual width.
  package func graph(head: Head) -> Graph {
    var builder = GraphBuilder(name: name, inputChannels: 3, firstGroup: "early")
    var channels = scaled(32)
    add(&builder, "conv_stem", "bn1", 3, channels, kernel: 3, stride: 2)
    for (stage, blocks) in MobileNetV1.stages.enumerated() {
      if stage == 3 { builder.beginGroup("middle") }
      if stage == 4 { builder.beginGroup("late") }
      for index in 0..<blocks.repeats {
        let path: ParameterPath = "blocks.\(stage).\(index)"
        let outputs = scaled(blocks.channels)
        add(
          &builder, "\(path).conv_dw", "\(path).bn1", channels, channels, kernel: 3,
          stride: index == 0 ? blocks.stride : 1, groups: channels)
        add(&builder, "\(path).conv_pw", "\(path).bn2", channels, outputs, kernel: 1)
        channels = outputs
      }
    }
    builder.addPooledHead(head, features: channels, path: "classifier")
    return builder.build()
  }

  private func add(
    _ builder: inout GraphBuilder, _ path: ParameterPath, _ norm: ParameterPath, _ inputs: Int,
    _ outputs: Int, kernel: Int, stride: Int = 1, groups: Int = 1
  ) {
    let isKeras = definition == .keras
    builder.addConvolution(
      path, norm,
      Convolution2D(
        inputs: inputs, outputs: outputs,
        window: Window2D(
          kernel: kernel, stride: stride,
          padding: isKeras ? .same : .explicit(EdgeInsets(kernel / 2))), groups: groups),
      isKeras ? .keras(epsilon: 1e-3) : .torch, activation: ("\(norm).act", .relu6))
  }

  /// Channels to a multiple of 8 that is not more than 10 % below.
  private func scaled(_ channels: Int) -> Int {
    ChannelRounding.multipleOf8(Double(channels) * width)
  }

  private static let stages: [(repeats: Int, stride: Int, channels: Int)] = [
    (1, 1, 64), (2, 2, 128), (2, 2, 256), (6, 2, 512), (2, 2, 1024),
  ]
}

extension MobileNetV1 {
  /// The place of a block that is counted through.
  static func place(ofBlock number: Int) -> (stage: Int, index: Int)? {
    var left = number
    for (stage, blocks) in stages.enumerated() where left >= 0 {
      if left < blocks.repeats { return (stage, left) }
      left -= blocks.repeats
    }
    return nil
  }
}
