// SPDX-License-Identifier: Apache-2.0

package import ThawNetwork

/// ConvNeXt: depthwise 7x7 convolutions, layer norms, GELU and layer scales; no batch norm anywhere, so
/// no `BatchNormMode` matters.
///
/// Layer names are torchvision's; timm's are translated. The 1x1 convolutions of a block keep their
/// weights as matrices and its layer scale is [channels, 1, 1], as torchvision's files have them.
///
/// Layer groups: `early` (stem and stages 1-2, to stride 8), `stage3` (with the downsampling before it),
/// `stage4` (likewise, and the layer norm behind the pooling, which is pretrained), `head`. Any input of
/// 32 pixels or more.
///
/// - Source: Liu et al. 2022, arXiv:2201.03545; torchvision.models.convnext.
package struct ConvNeXt: NetworkFamily {
  static let names = variants.map { "convnext_\($0.name)" }

  private let name: String
  private let depths: [Int]
  private let widths: [Int]

  init?(name: String) {
    guard let size = name.hasPrefix("convnext_") ? name.dropFirst(9) : nil else { return nil }
    self.init(size: String(size))
  }

  /// The variant called `tiny`, `small` or `base`; nil for any other.
  package init?(size: String) {
    guard let variant = ConvNeXt.variants.first(where: { $0.name == size }) else { return nil }
    name = "convnext_\(size)"
    depths = variant.depths
    widths = (0..<4).map { variant.width << $0 }
  }

  /// The network with `head` behind its pooled, normalised features (768 in Tiny).
  package func graph(head: Head) -> Graph { graph(head: head, stochasticDepth: 0) }

  /// The same with residual branches left out at random in training.
  ///
  /// - Parameter stochasticDepth: probability for the last block, rising to it from 0 in the first;
  ///   torchvision trains Tiny with 0.1. Layers with it are not frozen features, so it is off by
  ///   default.
  package func graph(head: Head, stochasticDepth: Double) -> Graph {
    var builder = GraphBuilder(name: name, inputChannels: 3, firstGroup: "early")
    builder.add("features.0.0", patches(3, widths[0], side: 4))
    builder.add("features.0.1", ConvNeXt.norm(widths[0]))
    let total = depths.reduce(0, +)
    var number = 0
    for (stage, depth) in depths.enumerated() {
      if stage >= 2 { builder.beginGroup("stage\(stage + 1)") }
      if stage > 0 {
        let path: ParameterPath = "features.\(2 * stage)"
        builder.add("\(path).0", ConvNeXt.norm(widths[stage - 1]))
        builder.add("\(path).1", patches(widths[stage - 1], widths[stage], side: 2))
      }
      for index in 0..<depth {
        let path: ParameterPath = "features.\(2 * stage + 1).\(index)"
        let skipping = stochasticDepth * Double(number) / Double(total - 1)
        addBlock(&builder, path, widths[stage], skipping: skipping)
        number += 1
      }
    }
    builder.add("avgpool", .globalAveragePooling)
    builder.add("classifier.0", ConvNeXt.norm(widths[3]))
    builder.add("classifier.1", .flatten)
    builder.addHead(head, features: widths[3], path: "classifier.2")
    return builder.build()
  }

  /// Translates timm's name of a tensor into torchvision's; another name comes back as it is.
  func path(ofPublished name: String) -> ParameterPath? {
    let path = ParameterPath(name)
    let leaf = String(path.leaf)
    let layer = path.parent.description
    if let known = ConvNeXt.topLevel[layer] { return known.appending(leaf) }
    let parts = name.split(separator: ".").map(String.init)
    guard parts.count >= 4, parts[0] == "stages", let stage = Int(parts[1]) else { return path }
    if parts[2] == "downsample", parts.count == 5 {
      return "features.\(2 * stage).\(parts[3]).\(leaf)"
    }
    guard parts[2] == "blocks", parts.count >= 5 else { return path }
    let block: ParameterPath = "features.\(2 * stage + 1).\(parts[3])"
    if parts.count == 5 && leaf == "gamma" { return "\(block).layer_scale" }
    let inner = parts[4..<(parts.count - 1)].joined(separator: ".")
    return ConvNeXt.blockLayers[inner].map { "\(block).block.\($0).\(leaf)" } ?? path
  }

  /// Depthwise 7x7, layer norm, 1x1 to four times the channels, GELU, 1x1 back, layer scale, shortcut.
  private func addBlock(
    _ builder: inout GraphBuilder, _ path: ParameterPath, _ channels: Int, skipping: Double
  ) {
    let entry = builder.last
    let window = Window2D(kernel: 7, padding: .explicit(EdgeInsets(3)))
    builder.add(
      "\(path).block.0",
      .convolution(
        Convolution2D(
          inputs: channels, outputs: channels, window: window, groups: channels, hasBias: true)))
    builder.add("\(path).block.2", ConvNeXt.norm(channels))
    builder.add("\(path).block.3", pointwise(channels, 4 * channels))
    builder.add("\(path).block.4", .activation(.gelu))
    builder.add("\(path).block.5", pointwise(4 * channels, channels))
    builder.add(path, .channelScale(ChannelScale(channels: channels, name: "layer_scale")))
    if skipping > 0 { builder.add("\(path).depth", .stochasticDepth(probability: skipping)) }
    builder.add("\(path).add", .add, [builder.last, entry])
  }

  private static func norm(_ channels: Int) -> ThawNetwork.Operation {
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
        storesMatrix: true))
  }

  private static let topLevel: [String: ParameterPath] = [
    "stem.0": "features.0.0", "stem.1": "features.0.1", "head.norm": "classifier.0",
    "head.fc": "classifier.2",
  ]
  private static let blockLayers = [
    "conv_dw": "0", "norm": "2", "mlp.fc1": "3", "mlp.fc2": "5",
  ]
  private static let variants: [(name: String, depths: [Int], width: Int)] = [
    ("tiny", [3, 3, 9, 3], 96), ("small", [3, 3, 27, 3], 96), ("base", [3, 3, 27, 3], 128),
  ]
}
