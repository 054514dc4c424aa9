// SPDX-License-Identifier: Apache-2.0

package import ThawNetwork

/// VGG with 11 to 19 layers, with and without batch norm; torchvision's and Keras's are the same.
///
/// What lies between the last feature map and the head is part of the name:
///
/// | name | before the head | features |
/// |---|---|---|
/// | `vgg16` | mean over a 7x7 grid, flatten, fc6 and fc7 of the published classifier | 4096 |
/// | `vgg16_flat` | mean over a 7x7 grid, flatten | 25088 |
/// | `vgg16_pooled` | global mean | 512 |
///
/// The grid makes any input size fit, and for an input of 224 it is the feature map itself, which is
/// what Keras flattens (channels last there: the name map reorders fc6). torchvision's dropout behind
/// fc6 and fc7 is left out, as in Keras: in a frozen layer it would end the cache before them, and
/// ``Head/dropout`` puts one where it helps.
///
/// Layer names are torchvision's. Layer groups: `early` (blocks 1 to 3), `late` (blocks 4 and 5),
/// with fc6 and fc7 `classifier`, then `head`. fastai cuts at layer 22, which is the end of block 3 in
/// vgg16_bn and inside it in vgg19_bn; here it is the end in all. Any input of 32 pixels or more.
///
/// - Source: Simonyan and Zisserman 2014, arXiv:1409.1556; torchvision.models.vgg;
///   keras.applications.vgg16.
package struct VGG: NetworkFamily {
  static let names = [16, 19, 11, 13].flatMap { depth in
    ["", "_bn"].flatMap { norm in Ending.allCases.map { "vgg\(depth)\(norm)\($0.suffix)" } }
  }

  /// What lies between the last feature map and the head.
  package enum Ending: String, Sendable, CaseIterable {
    /// The published fc6 and fc7.
    case classifier
    /// 7x7 means of each channel.
    case flat
    /// One mean of each channel.
    case pooled

    var suffix: String { self == .classifier ? "" : "_\(rawValue)" }
  }

  private let depth: Int
  private let isNormalized: Bool
  private let ending: Ending

  init?(name: String) {
    guard VGG.names.contains(name), let depth = Int(name.dropFirst(3).prefix(2)) else {
      return nil
    }
    let ending = Ending.allCases.first { $0 != .classifier && name.hasSuffix($0.suffix) }
    self.init(
      depth: depth, isNormalized: name.contains("_bn"), ending: ending ?? .classifier)
  }

  /// The variant with `depth` layers: 11, 13, 16 or 19; nil for any other.
  package init?(depth: Int, isNormalized: Bool = false, ending: Ending = .classifier) {
    guard [11, 13, 16, 19].contains(depth) else { return nil }
    self.depth = depth
    self.isNormalized = isNormalized
    self.ending = ending
  }

  /// Convolutions of each block.
  private var repeats: [Int] {
    switch depth {
    case 11: [1, 1, 2, 2, 2]
    case 13: [2, 2, 2, 2, 2]
    case 16: [2, 2, 3, 3, 3]
    default: [2, 2, 4, 4, 4]
    }
  }

  /// The network with `head` behind its features.
  package func graph(head: Head) -> Graph {
    let name = "vgg\(depth)\(isNormalized ? "_bn" : "")\(ending.suffix)"
    var builder = GraphBuilder(name: name, inputChannels: 3, firstGroup: "early")
    addFeatures(&builder)
    switch ending {
    case .classifier:
      addGrid(&builder)
      builder.beginGroup("classifier")
      for (index, inputs) in [(0, VGG.gridFeatures), (3, 4096)] {
        builder.add("classifier.\(index)", .dense(Dense(inputs: inputs, outputs: 4096)))
        builder.add("classifier.\(index + 1)", .activation(.relu))
      }
      builder.addHead(head, features: 4096, path: "classifier.6")
    case .flat:
      addGrid(&builder)
      builder.addHead(head, features: VGG.gridFeatures, path: "classifier")
    case .pooled:
      builder.addPooledHead(head, features: 512, path: "classifier")
    }
    return builder.build()
  }

  private static let gridFeatures = 512 * 7 * 7

  private func addGrid(_ builder: inout GraphBuilder) {
    builder.add("avgpool", .adaptiveAveragePooling(Extent2D(7)))
    builder.add("flatten", .flatten)
  }

  private func addFeatures(_ builder: inout GraphBuilder) {
    var (channels, index) = (3, 0)
    for (block, count) in repeats.enumerated() {
      if block == 3 { builder.beginGroup("late") }
      for _ in 0..<count {
        let outputs = min(64 << block, 512)
        builder.add(
          "features.\(index)",
          .convolution(Convolution2D(channels, outputs, kernel: 3, hasBias: true)))
        if isNormalized {
          builder.add("features.\(index + 1)", NormalizationStyle.torch.layer(outputs))
        }
        index += isNormalized ? 2 : 1
        builder.add("features.\(index)", .activation(.relu))
        index += 1
        channels = outputs
      }
      builder.add("features.\(index)", .pooling(.maximum, Window2D(kernel: 2, stride: 2)))
      index += 1
    }
  }

  func keeps(_ name: String) -> Bool {
    // The whole network's file serves the headless forms too.
    ending == .classifier || !name.hasPrefix("classifier.")
      || name == "classifier.weight" || name == "classifier.bias"
  }
}
