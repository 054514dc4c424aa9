// SPDX-License-Identifier: Apache-2.0

package import ThawNetwork

/// SqueezeNet 1.0 and 1.1 with the features pooled: fire modules, which squeeze by 1x1 convolutions and
/// expand by 1x1 and 3x3 ones side by side; no batch norm anywhere.
///
/// The published classifier is a 1x1 convolution with a ReLU *before* the global mean, which no dense layer
/// behind pooled features is. As a backbone the network ends with the mean of its 512 channels, and what is
/// trained on that is a head like any other; a checkpoint with the published classifier is predicted by it.
///
/// Layer names are torchvision's. Layer groups: `early` (to the second pooling), `late`, `head`. Any input of
/// 21 pixels or more.
///
/// - Source: Iandola et al. 2016, arXiv:1602.07360; torchvision, torchvision/models/squeezenet.py.
package struct SqueezeNet: NetworkFamily {
  static let names = ["squeezenet1_0", "squeezenet1_1"]

  private let name: String

  init?(name: String) {
    guard SqueezeNet.names.contains(name) else { return nil }
    self.name = name
  }

  private enum Layer {
    case pool
    /// Outputs of the squeezing convolution and of each of the expanding ones.
    case fire(Int, Int)
  }

  /// From place 2 of `features` on.
  private var layers: [Layer] {
    name == "squeezenet1_0"
      ? [
        .pool, .fire(16, 64), .fire(16, 64), .fire(32, 128), .pool, .fire(32, 128), .fire(48, 192),
        .fire(48, 192), .fire(64, 256), .pool, .fire(64, 256),
      ]
      : [
        .pool, .fire(16, 64), .fire(16, 64), .pool, .fire(32, 128), .fire(32, 128), .pool,
        .fire(48, 192), .fire(48, 192), .fire(64, 256), .fire(64, 256),
      ]
  }

  /// The network with `head` behind its 512 pooled features.
  package func graph(head: Head) -> Graph {
    var builder = GraphBuilder(name: name, inputChannels: 3, firstGroup: "early")
    var channels = name == "squeezenet1_0" ? 96 : 64
    builder.add(
      "features.0",
      .convolution(
        Convolution2D(
          inputs: 3, outputs: channels,
          window: Window2D(kernel: name == "squeezenet1_0" ? 7 : 3, stride: 2), hasBias: true)))
    builder.add("features.1", .activation(.relu))
    var pools = 0
    for (index, layer) in layers.enumerated() {
      let path: ParameterPath = "features.\(index + 2)"
      switch layer {
      case .pool:
        pools += 1
        var window = Window2D(kernel: 3, stride: 2)
        window.roundsUp = true
        builder.add(path, .pooling(.maximum, window))
        if pools == 2 { builder.beginGroup("late") }
      case .fire(let squeezed, let expanded):
        addFire(&builder, path, channels, squeezed, expanded)
        channels = 2 * expanded
      }
    }
    builder.addPooledHead(head, features: channels, path: "classifier")
    return builder.build()
  }

  private func addFire(
    _ builder: inout GraphBuilder, _ path: ParameterPath, _ inputs: Int, _ squeezed: Int,
    _ expanded: Int
  ) {
    builder.add(
      "\(path).squeeze", .convolution(Convolution2D(inputs, squeezed, kernel: 1, hasBias: true)))
    let entry = builder.add("\(path).squeeze_activation", .activation(.relu))
    let ends = [1, 3].map { side in
      builder.add(
        "\(path).expand\(side)x\(side)",
        .convolution(Convolution2D(squeezed, expanded, kernel: side, hasBias: true)), [entry])
      return builder.add("\(path).expand\(side)x\(side)_activation", .activation(.relu))
    }
    builder.add("\(path).cat", .concatenate, ends)
  }

  /// The file that everybody downloads has the published classifier.
  func path(ofPublished name: String) -> ParameterPath? {
    name.hasPrefix("classifier.1.") ? nil : ParameterPath(name)
  }
}
