// SPDX-License-Identifier: Apache-2.0

package import ThawNetwork

/// DenseNet, torchvision's and Keras's: every layer of a block sees all maps made before it.
///
/// The two differ in the batch norm only: epsilon 1e-5 and momentum 0.1 in torchvision, 1.001e-5 and
/// 0.01 in Keras. Layer names are torchvision's. Layer groups: `early` (stem, denseblock1,
/// transition1, denseblock2: fastai's first group), `denseblock3` (with transition2 before it),
/// `denseblock4` (with transition3), `head`. Any input of 29 pixels or more.
///
/// - Source: Huang et al. 2016, arXiv:1608.06993; torchvision.models.densenet;
///   keras.applications.densenet.
package struct DenseNet: NetworkFamily {
  static let names = Definition.allCases.flatMap { definition in
    variants.map { "densenet\($0.depth)\(definition.suffix)" }
  }
  private static let variants: [(depth: Int, blocks: [Int])] = [
    (121, [6, 12, 24, 16]), (169, [6, 12, 32, 32]), (201, [6, 12, 48, 32]),
  ]
  private static let growth = 32

  private let name: String
  private let blocks: [Int]
  private let normalization: NormalizationStyle

  init?(name: String) {
    let (base, definition) = Definition.split(name)
    let depth = DenseNet.variants.first { base == "densenet\($0.depth)" }?.depth
    guard let depth else { return nil }
    self.init(depth: depth, definition: definition)
  }

  /// The variant with `depth` layers: 121, 169 or 201; nil for any other.
  package init?(depth: Int, definition: Definition = .torchvision) {
    guard let variant = DenseNet.variants.first(where: { $0.depth == depth }) else { return nil }
    name = "densenet\(depth)\(definition.suffix)"
    blocks = variant.blocks
    normalization =
      definition == .keras ? .keras(epsilon: 1.001e-5) : .torch
  }

  /// The network with `head` behind its pooled features (1024 for 121 layers).
  package func graph(head: Head) -> Graph {
    var builder = GraphBuilder(name: name, inputChannels: 3, firstGroup: "early")
    builder.addConvolution(
      "features.conv0", "features.norm0", Convolution2D(3, 64, kernel: 7, stride: 2),
      normalization, activation: ("features.relu0", .relu))
    let window = Window2D(kernel: 3, stride: 2, padding: .explicit(EdgeInsets(1)))
    builder.add("features.pool0", .pooling(.maximum, window))
    var channels = 64
    for (index, count) in blocks.enumerated() {
      if index >= 2 { builder.beginGroup("denseblock\(index + 1)") }
      if index > 0 { channels = addTransition(&builder, number: index, channels: channels) }
      for layer in 1...count {
        let path: ParameterPath = "features.denseblock\(index + 1).denselayer\(layer)"
        addLayer(&builder, path, channels: channels)
        channels += DenseNet.growth
      }
    }
    builder.add("features.norm5", normalization.layer(channels))
    builder.add("relu", .activation(.relu))
    builder.addPooledHead(head, features: channels, path: "classifier")
    return builder.build()
  }

  /// Norm, ReLU, 1x1 to 128 channels, norm, ReLU, 3x3 to 32 channels, joined to what came in.
  private func addLayer(_ builder: inout GraphBuilder, _ path: ParameterPath, channels: Int) {
    let entry = builder.last
    let wide = 4 * DenseNet.growth
    builder.add("\(path).norm1", normalization.layer(channels))
    builder.add("\(path).relu1", .activation(.relu))
    builder.addConvolution(
      "\(path).conv1", "\(path).norm2", Convolution2D(channels, wide, kernel: 1), normalization,
      activation: ("\(path).relu2", .relu))
    builder.add("\(path).conv2", .convolution(Convolution2D(wide, DenseNet.growth, kernel: 3)))
    builder.add("\(path).cat", .concatenate, [entry, builder.last])
  }

  /// Norm, ReLU, 1x1 to half the channels, 2x2 average; returns the channels.
  private func addTransition(
    _ builder: inout GraphBuilder, number: Int, channels: Int
  ) -> Int {
    let path: ParameterPath = "features.transition\(number)"
    builder.add("\(path).norm", normalization.layer(channels))
    builder.add("\(path).relu", .activation(.relu))
    builder.add("\(path).conv", .convolution(Convolution2D(channels, channels / 2, kernel: 1)))
    builder.add(
      "\(path).pool",
      .pooling(.average(includesPadding: false), Window2D(kernel: 2, stride: 2)))
    return channels / 2
  }

  /// torchvision's files still have the names of its first version: `denselayer1.norm.1.weight`.
  func path(ofPublished name: String) -> ParameterPath? {
    var parts = name.split(separator: ".").map(String.init)
    if parts.count == 6, parts[2].hasPrefix("denselayer"), ["1", "2"].contains(parts[4]) {
      parts[3] += parts.remove(at: 4)
    }
    return ParameterPath(parts.joined(separator: "."))
  }
}
