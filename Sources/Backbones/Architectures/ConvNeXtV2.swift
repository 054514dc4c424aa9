// SPDX-License-Identifier: Apache-2.0

package import ThawNetwork

/// ConvNeXt V2: ConvNeXt with a response normalisation between the dense layers of a block, and no layer
/// scale; no batch norm anywhere.
///
/// Layer names are timm's; transformers' and the authors' are translated.
///
/// Layer groups: `early` (stem and stages 1-2, to stride 8), `stage3`, `stage4` (with the layer norm behind
/// the pooling, which is pretrained), `head`. Any input of 32 pixels or more.
///
/// - Source: Woo et al. 2023, arXiv:2301.00808; timm's `convnextv2_tiny`.
package struct ConvNeXtV2: NetworkFamily {
  static let names = variants.map { "convnextv2_\($0.name)" }

  private let name: String
  private let depths: [Int]
  private let widths: [Int]
  /// Whether the 1x1 convolutions keep matrices, as timm's larger variants do.
  private let storesMatrices: Bool

  init?(name: String) {
    guard let variant = ConvNeXtV2.variants.first(where: { name == "convnextv2_\($0.name)" }) else {
      return nil
    }
    self.name = name
    depths = variant.depths
    storesMatrices = variant.width >= 96
    widths = (0..<4).map { variant.width << $0 }
  }

  /// The network with `head` behind its pooled, normalised features (768 in Tiny).
  package func graph(head: Head) -> Graph {
    var builder = GraphBuilder(name: name, inputChannels: 3, firstGroup: "early")
    builder.add("stem.0", patches(3, widths[0], side: 4))
    builder.add("stem.1", norm(widths[0]))
    for (stage, depth) in depths.enumerated() {
      if stage >= 2 { builder.beginGroup("stage\(stage + 1)") }
      if stage > 0 {
        builder.add("stages.\(stage).downsample.0", norm(widths[stage - 1]))
        builder.add(
          "stages.\(stage).downsample.1", patches(widths[stage - 1], widths[stage], side: 2))
      }
      for index in 0..<depth {
        addBlock(&builder, "stages.\(stage).blocks.\(index)", widths[stage])
      }
    }
    builder.add("head.global_pool", .globalAveragePooling)
    builder.add("head.norm", norm(widths[3]))
    builder.add("head.flatten", .flatten)
    builder.addHead(head, features: widths[3], path: "head.fc")
    return builder.build()
  }

  /// Depthwise 7x7, layer norm, 1x1 to four times the channels, GELU, response normalisation, 1x1 back,
  /// shortcut.
  private func addBlock(_ builder: inout GraphBuilder, _ path: ParameterPath, _ channels: Int) {
    let entry = builder.last
    builder.add(
      "\(path).conv_dw",
      .convolution(Convolution2D(channels, channels, kernel: 7, groups: channels, hasBias: true)))
    builder.add("\(path).norm", norm(channels))
    builder.add("\(path).mlp.fc1", pointwise(channels, 4 * channels))
    builder.add("\(path).mlp.act", .activation(.gelu))
    builder.add(
      "\(path).mlp.grn", .responseNormalization(ResponseNormalization(channels: 4 * channels)))
    builder.add("\(path).mlp.fc2", pointwise(4 * channels, channels))
    builder.add("\(path).add", .add, [builder.last, entry])
  }

  private func norm(_ channels: Int) -> ThawNetwork.Operation {
    .layerNormalization(LayerNormalization(channels: channels, epsilon: 1e-6))
  }

  /// A convolution whose windows touch and do not overlap.
  private func patches(_ inputs: Int, _ outputs: Int, side: Int) -> ThawNetwork.Operation {
    .convolution(
      Convolution2D(
        inputs: inputs, outputs: outputs, window: Window2D(kernel: side, stride: side),
        hasBias: true))
  }

  private func pointwise(_ inputs: Int, _ outputs: Int) -> ThawNetwork.Operation {
    .convolution(
      Convolution2D(
        inputs: inputs, outputs: outputs, window: Window2D(kernel: 1), hasBias: true,
        storesMatrix: storesMatrices))
  }

  private static let variants: [(name: String, depths: [Int], width: Int)] = [
    ("atto", [2, 2, 6, 2], 40), ("femto", [2, 2, 6, 2], 48), ("pico", [2, 2, 6, 2], 64),
    ("nano", [2, 2, 8, 2], 80), ("tiny", [3, 3, 9, 3], 96), ("base", [3, 3, 27, 3], 128),
    ("large", [3, 3, 27, 3], 192), ("huge", [3, 3, 27, 3], 352),
  ]
}
