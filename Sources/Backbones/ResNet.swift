// SPDX-License-Identifier: Apache-2.0

public import Network

/// ResNet, torchvision's variant (stride in the 3x3 convolution of a bottleneck).
///
/// Layer names are torchvision's. Layer groups: `early` (stem, layer1, layer2), `layer3`, `layer4`,
/// `head`. The shortcut's convolution is computed before the block's own layers, so that the
/// addition and the ReLU behind it fuse into the block's last convolution.
///
/// - Source: He et al. 2015, arXiv:1512.03385; torchvision.models.resnet.
public struct ResNet: Sendable {
  private let name: String
  private let blocks: [Int]
  private let isBottleneck: Bool

  /// The variant with `depth` layers: 18, 34, 50, 101 or 152; nil for any other.
  public init?(depth: Int) {
    switch depth {
    case 18: blocks = [2, 2, 2, 2]
    case 34, 50: blocks = [3, 4, 6, 3]
    case 101: blocks = [3, 4, 23, 3]
    case 152: blocks = [3, 8, 36, 3]
    default: return nil
    }
    name = "resnet\(depth)"
    isBottleneck = depth >= 50
  }

  /// The network with `head` behind its pooled features (512, or 2048 with bottlenecks).
  public func graph(head: Head) -> Graph {
    var builder = GraphBuilder(name: name, inputChannels: 3, firstGroup: "early")
    add(&builder, "conv1", "bn1", ResNet.convolution(3, 64, kernel: 7, stride: 2))
    builder.add("relu", .activation(.relu))
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
    builder.add("avgpool", .globalAveragePooling)
    builder.add("flatten", .flatten)
    builder.addHead(head, features: channels, path: "fc")
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
      let layer = ResNet.convolution(inputs, outputs, kernel: 1, stride: stride)
      add(&builder, "\(path).downsample.0", "\(path).downsample.1", layer)
      shortcut = builder.last
    }
    let layers =
      isBottleneck
      ? [
        ResNet.convolution(inputs, width, kernel: 1, stride: 1),
        ResNet.convolution(width, width, kernel: 3, stride: stride),
        ResNet.convolution(width, outputs, kernel: 1, stride: 1),
      ]
      : [
        ResNet.convolution(inputs, width, kernel: 3, stride: stride),
        ResNet.convolution(width, outputs, kernel: 3, stride: 1),
      ]
    for (index, layer) in layers.enumerated() {
      let number = index + 1
      let source = index == 0 ? entry : builder.last
      add(&builder, "\(path).conv\(number)", "\(path).bn\(number)", layer, from: source)
      if number < layers.count { builder.add("\(path).relu\(number)", .activation(.relu)) }
    }
    builder.add("\(path).add", .add, [builder.last, shortcut])
    builder.add("\(path).relu", .activation(.relu))
    return outputs
  }

  private func add(
    _ builder: inout GraphBuilder, _ path: ParameterPath, _ normalization: ParameterPath,
    _ layer: Convolution2D, from source: NodeID? = nil
  ) {
    builder.add(path, .convolution(layer), source.map { [$0] })
    builder.add(
      normalization, .batchNormalization(BatchNormalization(channels: layer.outputs)))
  }

  private static func convolution(
    _ inputs: Int, _ outputs: Int, kernel: Int, stride: Int
  ) -> Convolution2D {
    let window = Window2D(
      kernel: kernel, stride: stride, padding: .explicit(EdgeInsets((kernel - 1) / 2)))
    return Convolution2D(inputs: inputs, outputs: outputs, window: window)
  }
}
