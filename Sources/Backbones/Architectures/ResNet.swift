// SPDX-License-Identifier: Apache-2.0

package import ThawNetwork

/// ResNet for ImageNet, 18 to 152 layers, torchvision's and Keras's.
///
/// | | torchvision ("v1.5") | Keras ("v1") |
/// |---|---|---|
/// | a bottleneck's stride | in its 3x3 convolution | in its first 1x1 convolution |
/// | convolutions | without bias | with bias |
/// | batch norm | epsilon 1e-5, momentum 0.1 | epsilon 1.001e-5, momentum 0.01 |
///
/// Layer names are torchvision's for both. Layer groups: `early` (stem, layer1, layer2), `layer3`,
/// `layer4`, `head`: fastai's split, with the last two stages apart. The shortcut's convolution is
/// computed before the block's own layers, so that the addition and the ReLU behind it fuse into the
/// block's last convolution. Input: 32 pixels or more; Keras's own check says the same.
///
/// - Source: He et al. 2015, arXiv:1512.03385; torchvision.models.resnet; keras.applications.resnet.
package struct ResNet: NetworkFamily {
  static let names = depths.map { "resnet\($0)" } + kerasDepths.map { "resnet\($0)_keras" }
  private static let depths = [18, 34, 50, 101, 152]
  private static let kerasDepths = [50, 101, 152]

  private let name: String
  private let blocks: [Int]
  private let isBottleneck: Bool
  private let definition: Definition

  init?(name: String) {
    let (base, definition) = Definition.split(name)
    guard let depth = ResNet.depths.first(where: { base == "resnet\($0)" }) else { return nil }
    self.init(depth: depth, definition: definition)
  }

  /// The variant with `depth` layers: 18, 34, 50, 101 or 152, Keras has the last three; nil for any
  /// other.
  package init?(depth: Int, definition: Definition = .torchvision) {
    switch depth {
    case 18: blocks = [2, 2, 2, 2]
    case 34, 50: blocks = [3, 4, 6, 3]
    case 101: blocks = [3, 4, 23, 3]
    case 152: blocks = [3, 8, 36, 3]
    default: return nil
    }
    isBottleneck = depth >= 50
    if definition == .keras && !isBottleneck { return nil }
    name = "resnet\(depth)\(definition.suffix)"
    self.definition = definition
  }

  /// The network with `head` behind its pooled features (512, or 2048 with bottlenecks).
  package func graph(head: Head) -> Graph {
    var builder = GraphBuilder(name: name, inputChannels: 3, firstGroup: "early")
    builder.addConvolution(
      "conv1", "bn1", convolution(3, 64, kernel: 7, stride: 2), normalization,
      activation: ("relu", .relu))
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

  /// Adds one residual block and returns its output channels.
  private func addBlock(
    _ builder: inout GraphBuilder, _ path: ParameterPath, inputs: Int, width: Int, stride: Int
  ) -> Int {
    let outputs = isBottleneck ? 4 * width : width
    let entry = builder.last
    var shortcut = entry
    if stride != 1 || inputs != outputs {
      shortcut = builder.addConvolution(
        "\(path).downsample.0", "\(path).downsample.1",
        convolution(inputs, outputs, kernel: 1, stride: stride), normalization)
    }
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
    return [
      convolution(inputs, width, kernel: 1, stride: isFirst ? stride : 1),
      convolution(width, width, kernel: 3, stride: isFirst ? 1 : stride),
      convolution(width, outputs, kernel: 1),
    ]
  }

  private func convolution(
    _ inputs: Int, _ outputs: Int, kernel: Int, stride: Int = 1
  ) -> Convolution2D {
    Convolution2D(
      inputs, outputs, kernel: kernel, stride: stride, hasBias: definition == .keras)
  }

  private var normalization: NormalizationStyle {
    definition == .keras ? .keras(epsilon: 1.001e-5) : .torch
  }
}
