// SPDX-License-Identifier: Apache-2.0

package import ThawNetwork

/// ResNet for ImageNet, 18 to 152 layers, torchvision's and Keras's, and its relatives.
///
/// | | torchvision ("v1.5") | Keras ("v1") |
/// |---|---|---|
/// | a bottleneck's stride | in its 3x3 convolution | in its first 1x1 convolution |
/// | convolutions | without bias | with bias |
/// | batch norm | epsilon 1e-5, momentum 0.1 | epsilon 1.001e-5, momentum 0.01 |
///
/// | relative | differs by |
/// |---|---|
/// | `resnext50_32x4d`: torchvision's and timm's | 32 groups in the 3x3 convolutions, twice as wide inside |
/// | `wide_resnet50_2`: the same | twice as wide inside |
/// | `resnet50d`: timm's | three 3x3 convolutions as the stem, and a mean over 2x2 pixels before a shortcut's 1x1 convolution in the place of its stride |
///
/// Layer names are torchvision's for all, timm's for `d`. Layer groups: `early` (stem, layer1, layer2), `layer3`,
/// `layer4`, `head`: fastai's split, with the last two stages apart. The shortcut's convolution is
/// computed before the block's own layers, so that the addition and the ReLU behind it fuse into the
/// block's last convolution. Input: 32 pixels or more; Keras's own check says the same.
///
/// - Source: He et al. 2015, arXiv:1512.03385; Xie et al. 2016, arXiv:1611.05431; Zagoruyko and
///   Komodakis 2016, arXiv:1605.07146; He et al. 2018, arXiv:1812.01187 ("d"); torchvision.models.resnet;
///   timm/models/resnet.py; keras.applications.resnet.
package struct ResNet: NetworkFamily {
  static let names =
    depths.map { "resnet\($0)" } + kerasDepths.map { "resnet\($0)_keras" } + relatives.map(\.name)
    + deepDepths.map { "resnet\($0)d" }
  private static let depths = [18, 34, 50, 101, 152]
  private static let kerasDepths = [50, 101, 152]
  private static let deepDepths = [18, 26, 34, 50, 101, 152]
  private static let relatives: [(name: String, depth: Int, groups: Int, width: Int)] = [
    ("resnext50_32x4d", 50, 32, 4), ("resnext101_32x8d", 101, 32, 8),
    ("resnext101_64x4d", 101, 64, 4), ("wide_resnet50_2", 50, 1, 128),
    ("wide_resnet101_2", 101, 1, 128),
  ]

  private let name: String
  private let blocks: [Int]
  private let isBottleneck: Bool
  private let definition: Definition
  /// Groups of a bottleneck's 3x3 convolution.
  private var groups = 1
  /// Channels of each group where the first stage has 64.
  private var groupWidth = 64
  /// Whether stem and shortcuts are those of "d".
  private var isDeep = false

  init?(name: String) {
    if let relative = ResNet.relatives.first(where: { $0.name == name }) {
      self.init(depth: relative.depth, named: name)
      (groups, groupWidth) = (relative.groups, relative.width)
      return
    }
    if let depth = ResNet.deepDepths.first(where: { name == "resnet\($0)d" }) {
      self.init(depth: depth, named: name)
      isDeep = true
      return
    }
    let (base, definition) = Definition.split(name)
    guard let depth = ResNet.depths.first(where: { base == "resnet\($0)" }) else { return nil }
    self.init(depth: depth, definition: definition)
  }

  /// The variant with `depth` layers: 18, 34, 50, 101 or 152, Keras has the last three; nil for any
  /// other.
  package init?(depth: Int, definition: Definition = .torchvision) {
    guard ResNet.depths.contains(depth) else { return nil }
    self.init(depth: depth, definition: definition, named: nil)
  }

  private init?(depth: Int, definition: Definition = .torchvision, named name: String?) {
    switch depth {
    case 18, 26: blocks = [2, 2, 2, 2]
    case 34, 50: blocks = [3, 4, 6, 3]
    case 101: blocks = [3, 4, 23, 3]
    case 152: blocks = [3, 8, 36, 3]
    default: return nil
    }
    isBottleneck = depth >= 50 || depth == 26
    if definition == .keras && !isBottleneck { return nil }
    self.name = name ?? "resnet\(depth)\(definition.suffix)"
    self.definition = definition
  }

  /// The network with `head` behind its pooled features (512, or 2048 with bottlenecks).
  package func graph(head: Head) -> Graph {
    var builder = GraphBuilder(name: name, inputChannels: 3, firstGroup: "early")
    addStem(&builder)
    // Keras pads with zeros instead of minus infinity, which behind a ReLU is the same.
    let window = Window2D(kernel: 3, stride: 2, padding: .explicit(EdgeInsets(1)))
    builder.add("maxpool", .pooling(.maximum, window))
    var channels = 64
    for (stage, count) in blocks.enumerated() {
      if stage >= 2 { builder.beginGroup("layer\(stage + 1)") }
      let width = 64 << stage
      for index in 0..<count {
        let path: ParameterPath = "layer\(stage + 1).\(index)"
        let stride = stage > 0 && index == 0 ? 2 : 1
        channels = addBlock(&builder, path, inputs: channels, width: width, stride: stride)
      }
    }
    builder.addPooledHead(head, features: channels, path: "fc")
    return builder.build()
  }

  /// The layers up to the maximum pooling.
  private func addStem(_ builder: inout GraphBuilder) {
    guard isDeep else {
      builder.addConvolution(
        "conv1", "bn1", convolution(3, 64, kernel: 7, stride: 2), normalization,
        activation: ("relu", .relu))
      return
    }
    builder.addConvolution(
      "conv1.0", "conv1.1", convolution(3, 32, kernel: 3, stride: 2), normalization,
      activation: ("conv1.2", .relu))
    builder.addConvolution(
      "conv1.3", "conv1.4", convolution(32, 32, kernel: 3), normalization,
      activation: ("conv1.5", .relu))
    builder.addConvolution(
      "conv1.6", "bn1", convolution(32, 64, kernel: 3), normalization, activation: ("relu", .relu))
  }

  /// The way around a block that changes shape; the block's input itself where it does not.
  private func addShortcut(
    _ builder: inout GraphBuilder, _ path: ParameterPath, inputs: Int, outputs: Int, stride: Int
  ) -> NodeID {
    let entry = builder.last
    guard stride != 1 || inputs != outputs else { return entry }
    guard isDeep else {
      return builder.addConvolution(
        "\(path).downsample.0", "\(path).downsample.1",
        convolution(inputs, outputs, kernel: 1, stride: stride), normalization)
    }
    if stride != 1 {
      builder.add(
        "\(path).downsample.0",
        .pooling(
          .average(includesPadding: false), Window2D(kernel: 2, stride: stride, roundsUp: true)))
    }
    return builder.addConvolution(
      "\(path).downsample.1", "\(path).downsample.2", convolution(inputs, outputs, kernel: 1),
      normalization)
  }

  /// Adds one residual block and returns its output channels.
  private func addBlock(
    _ builder: inout GraphBuilder, _ path: ParameterPath, inputs: Int, width: Int, stride: Int
  ) -> Int {
    let outputs = isBottleneck ? 4 * width : width
    let entry = builder.last
    let shortcut = addShortcut(
      &builder, path, inputs: inputs, outputs: outputs, stride: stride)
    let layers = layers(inputs: inputs, width: width, outputs: outputs, stride: stride)
    for (index, layer) in layers.enumerated() {
      let number = index + 1
      builder.addConvolution(
        "\(path).conv\(number)", "\(path).bn\(number)", layer, normalization,
        activation: number < layers.count ? ("\(path).relu\(number)", .relu) : nil,
        from: index == 0 ? entry : nil)
    }
    builder.add("\(path).add", .add, [builder.last, shortcut])
    builder.add("\(path).relu", .activation(.relu))
    return outputs
  }

  /// The convolutions of a block, in order.
  private func layers(inputs: Int, width: Int, outputs: Int, stride: Int) -> [Convolution2D] {
    guard isBottleneck else {
      return [
        convolution(inputs, width, kernel: 3, stride: stride),
        convolution(width, outputs, kernel: 3),
      ]
    }
    let isFirst = definition == .keras
    let inner = width * groupWidth / 64 * groups
    return [
      convolution(inputs, inner, kernel: 1, stride: isFirst ? stride : 1),
      convolution(inner, inner, kernel: 3, stride: isFirst ? 1 : stride, groups: groups),
      convolution(inner, outputs, kernel: 1),
    ]
  }

  private func convolution(
    _ inputs: Int, _ outputs: Int, kernel: Int, stride: Int = 1, groups: Int = 1
  ) -> Convolution2D {
    Convolution2D(
      inputs, outputs, kernel: kernel, stride: stride, groups: groups,
      hasBias: definition == .keras)
  }

  private var normalization: NormalizationStyle {
    definition == .keras ? .keras(epsilon: 1.001e-5) : .torch
  }
}
