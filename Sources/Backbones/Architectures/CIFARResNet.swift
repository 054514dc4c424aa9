// SPDX-License-Identifier: Apache-2.0

package import ThawNetwork

/// ResNet for 32-pixel images, 20 to 56 layers: a 3x3 stem without pooling and three stages.
///
/// Names and shortcuts are those of the `pytorch-cifar-models` collection, whose checkpoints are the
/// ones in use: where the shape changes, the shortcut is a 1x1 convolution with batch norm
/// (`downsample`), option B of the paper; the paper's own CIFAR networks pad with zero channels
/// (option A) and have 0.3 % fewer parameters. Layer groups: `early` (stem, layer1), `layer2`,
/// `layer3`, `head`. Any input of 4 pixels or more.
///
/// - Source: He et al. 2015, arXiv:1512.03385, section 4.2; chenyaofo/pytorch-cifar-models, resnet.py.
package struct CIFARResNet: NetworkFamily {
  static let names = depths.map { "cifar_resnet\($0)" }
  private static let depths = [20, 32, 44, 56]

  private let depth: Int

  init?(name: String) {
    guard let depth = CIFARResNet.depths.first(where: { name == "cifar_resnet\($0)" }) else {
      return nil
    }
    self.init(depth: depth)
  }

  /// The variant with `depth` layers: 20, 32, 44 or 56; nil for any other.
  package init?(depth: Int) {
    guard CIFARResNet.depths.contains(depth) else { return nil }
    self.depth = depth
  }

  /// The network with `head` behind its 64 pooled features.
  package func graph(head: Head) -> Graph {
    var builder = GraphBuilder(name: "cifar_resnet\(depth)", inputChannels: 3, firstGroup: "early")
    builder.addConvolution(
      "conv1", "bn1", Convolution2D(3, 16, kernel: 3), .torch, activation: ("relu", .relu))
    var channels = 16
    for stage in 0..<3 {
      if stage > 0 { builder.beginGroup("layer\(stage + 1)") }
      for index in 0..<(depth - 2) / 6 {
        let outputs = 16 << stage
        addBlock(
          &builder, "layer\(stage + 1).\(index)", inputs: channels, outputs: outputs,
          stride: stage > 0 && index == 0 ? 2 : 1)
        channels = outputs
      }
    }
    builder.addPooledHead(head, features: channels, path: "fc")
    return builder.build()
  }

  private func addBlock(
    _ builder: inout GraphBuilder, _ path: ParameterPath, inputs: Int, outputs: Int, stride: Int
  ) {
    let entry = builder.last
    var shortcut = entry
    if stride != 1 || inputs != outputs {
      shortcut = builder.addConvolution(
        "\(path).downsample.0", "\(path).downsample.1",
        Convolution2D(inputs, outputs, kernel: 1, stride: stride), .torch)
    }
    builder.addConvolution(
      "\(path).conv1", "\(path).bn1", Convolution2D(inputs, outputs, kernel: 3, stride: stride),
      .torch, activation: ("\(path).relu1", .relu), from: entry)
    builder.addConvolution(
      "\(path).conv2", "\(path).bn2", Convolution2D(outputs, outputs, kernel: 3), .torch)
    builder.add("\(path).add", .add, [builder.last, shortcut])
    builder.add("\(path).relu", .activation(.relu))
  }
}
