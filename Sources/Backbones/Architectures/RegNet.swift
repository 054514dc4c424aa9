// SPDX-License-Identifier: Apache-2.0

import Glibc
import ThawCheckpoints
package import ThawNetwork

/// RegNet X and Y: residual blocks with grouped convolutions whose widths follow a line; Y with
/// squeeze-and-excitation behind the grouped one.
///
/// The widths of the blocks are w0 + wa * i, moved to the nearest w0 * wm^k and to multiples of 8; blocks of
/// one width are a stage. torchvision and timm then round to the width of the groups, and differ where that lies
/// half way: `regnetx_004` and the like are timm's. Layer names are torchvision's; timm's and
/// transformers' are translated.
///
/// Layer groups: `early` (stem, stages 1-2, to stride 8), `stage3`, `stage4`, `head`. Input: 32 pixels or
/// more.
///
/// - Source: Radosavovic et al. 2020, arXiv:2003.13678; torchvision.models.regnet.
package struct RegNet: NetworkFamily {
  static let names = variants.map(\.network)

  private let name: String
  private let variant: Variant
  private let widths: [Int]
  private let depths: [Int]

  init?(name: String) {
    guard let variant = RegNet.variants.first(where: { $0.network == name }) else {
      return nil
    }
    self.name = name
    self.variant = variant
    (widths, depths) = RegNet.stages(variant)
  }

  /// The network with `head` behind its pooled features.
  package func graph(head: Head) -> Graph {
    var builder = GraphBuilder(name: name, inputChannels: 3, firstGroup: "early")
    builder.addConvolution(
      "stem.0", "stem.1", Convolution2D(3, 32, kernel: 3, stride: 2), .torch,
      activation: ("stem.2", .relu))
    var channels = 32
    for (stage, width) in widths.enumerated() {
      if stage >= 2 { builder.beginGroup("stage\(stage + 1)") }
      for index in 0..<depths[stage] {
        let path: ParameterPath = "trunk_output.block\(stage + 1).block\(stage + 1)-\(index)"
        addBlock(&builder, path, inputs: channels, width, stride: index == 0 ? 2 : 1)
        channels = width
      }
    }
    builder.addPooledHead(head, features: channels, path: "fc")
    return builder.build()
  }

  /// 1x1, grouped 3x3, in Y the gates, 1x1, and the shortcut.
  private func addBlock(
    _ builder: inout GraphBuilder, _ path: ParameterPath, inputs: Int, _ width: Int, stride: Int
  ) {
    let entry = builder.last
    var shortcut = entry
    if stride != 1 || inputs != width {
      shortcut = builder.addConvolution(
        "\(path).proj.0", "\(path).proj.1",
        Convolution2D(inputs, width, kernel: 1, stride: stride), .torch)
    }
    builder.addConvolution(
      "\(path).f.a.0", "\(path).f.a.1", Convolution2D(inputs, width, kernel: 1), .torch,
      activation: ("\(path).f.a.2", .relu), from: entry)
    let wide = builder.addConvolution(
      "\(path).f.b.0", "\(path).f.b.1",
      Convolution2D(
        width, width, kernel: 3, stride: stride, groups: width / min(variant.groupWidth, width)),
      .torch, activation: ("\(path).f.b.2", .relu))
    if variant.hasGates {
      // A quarter of the block's input, which the first block of a stage has fewer of.
      let squeezed = Int((0.25 * Double(inputs)).rounded(.toNearestOrEven))
      builder.addGates(
        "\(path).f.se", width, squeezed: squeezed, reduce: "fc1", activation: .relu, expand: "fc2",
        gates: .sigmoid)
      builder.add("\(path).f.se.gate", .gate, [wide, builder.last])
    }
    builder.addConvolution(
      "\(path).f.c.0", "\(path).f.c.1", Convolution2D(width, width, kernel: 1), .torch)
    builder.add("\(path).add", .add, [builder.last, shortcut])
    builder.add("\(path).activation", .activation(.relu))
  }

  /// The widths and the numbers of blocks of the four stages.
  private static func stages(_ variant: Variant) -> (widths: [Int], depths: [Int]) {
    var widths: [Int] = []
    var depths: [Int] = []
    for block in 0..<variant.depth {
      let wanted = variant.initial + variant.slope * Double(block)
      let power = (log(wanted / variant.initial) / log(variant.factor)).rounded(.toNearestOrEven)
      let exact = variant.initial * pow(variant.factor, power)
      var width = Int((exact / 8).rounded(.toNearestOrEven)) * 8
      // A multiple of the groups' width, not more than 10 % below.
      let group = min(variant.groupWidth, width)
      if variant.isTimms {
        // The nearest, the even one of two.
        width = Int((Double(width) / Double(group)).rounded(.toNearestOrEven)) * group
      } else {
        let rounded = max(group, (width + group / 2) / group * group)
        width = Double(rounded) < 0.9 * Double(width) ? rounded + group : rounded
      }
      if widths.last == width {
        depths[depths.count - 1] += 1
      } else {
        widths.append(width)
        depths.append(1)
      }
    }
    return (widths, depths)
  }

  /// Translates timm's name of a tensor into torchvision's; another name comes back as it is.
  func path(ofPublished name: String) -> ParameterPath? {
    ParameterPath(RegNet.timm.translate(name) ?? name)
  }

  private static let timm = [NamePattern]([
    "head.fc.*": "fc.*", "stem.conv.*": "stem.0.*", "stem.bn.*": "stem.1.*",
    "s#.b#.conv1.conv.*": "trunk_output.block{0}.block{0}-{1-1}.f.a.0.*",
    "s#.b#.conv1.bn.*": "trunk_output.block{0}.block{0}-{1-1}.f.a.1.*",
    "s#.b#.conv2.conv.*": "trunk_output.block{0}.block{0}-{1-1}.f.b.0.*",
    "s#.b#.conv2.bn.*": "trunk_output.block{0}.block{0}-{1-1}.f.b.1.*",
    "s#.b#.se.fc#.*": "trunk_output.block{0}.block{0}-{1-1}.f.se.fc{2}.*",
    "s#.b#.conv3.conv.*": "trunk_output.block{0}.block{0}-{1-1}.f.c.0.*",
    "s#.b#.conv3.bn.*": "trunk_output.block{0}.block{0}-{1-1}.f.c.1.*",
    "s#.b#.downsample.conv.*": "trunk_output.block{0}.block{0}-{1-1}.proj.0.*",
    "s#.b#.downsample.bn.*": "trunk_output.block{0}.block{0}-{1-1}.proj.1.*",
  ])

  private struct Variant {
    let name: String
    let depth: Int
    let initial: Double
    let slope: Double
    let factor: Double
    let groupWidth: Int
    var hasGates: Bool { name.hasPrefix("y") }
    /// Whether its widths are those that timm has and torchvision has not.
    var isTimms: Bool { !name.contains("f") }
    /// What timm calls `regnetx_004` has the name that timm gives it.
    var network: String { isTimms ? "regnet\(name)" : "regnet_\(name)" }

    init(
      _ name: String, _ depth: Int, _ initial: Double, _ slope: Double, _ factor: Double,
      _ groupWidth: Int
    ) {
      self.name = name
      self.depth = depth
      self.initial = initial
      self.slope = slope
      self.factor = factor
      self.groupWidth = groupWidth
    }
  }

  /// torchvision's; those it lacks as timm has them (`regnety_064`), and those of timm's whose widths are
  /// rounded otherwise.
  private static let variants = [
    Variant("y_400mf", 16, 48, 27.89, 2.09, 8), Variant("y_800mf", 14, 56, 38.84, 2.4, 16),
    Variant("y_1_6gf", 27, 48, 20.71, 2.65, 24), Variant("y_3_2gf", 21, 80, 42.63, 2.66, 24),
    Variant("y_8gf", 17, 192, 76.82, 2.19, 56), Variant("y_16gf", 18, 200, 106.23, 2.48, 112),
    Variant("y_32gf", 20, 232, 115.89, 2.53, 232),
    Variant("x_400mf", 22, 24, 24.48, 2.54, 16), Variant("x_800mf", 16, 56, 35.73, 2.28, 16),
    Variant("x_1_6gf", 18, 80, 34.01, 2.25, 24), Variant("x_3_2gf", 25, 88, 26.31, 2.25, 48),
    Variant("x_8gf", 23, 80, 49.56, 2.88, 120), Variant("x_16gf", 22, 216, 55.59, 2.1, 128),
    Variant("x_32gf", 23, 320, 69.86, 2.0, 168),
    Variant("y_200mf", 13, 24, 36.44, 2.49, 8), Variant("y_600mf", 15, 48, 32.54, 2.32, 16),
    Variant("y_6_4gf", 25, 112, 33.22, 2.27, 72),
    Variant("y_12gf", 19, 168, 73.36, 2.37, 112),
    Variant("x_200mf", 13, 24, 36.44, 2.49, 8), Variant("x_600mf", 16, 48, 36.97, 2.24, 24),
    Variant("x_6_4gf", 17, 184, 60.83, 2.07, 56),
    Variant("x_12gf", 19, 168, 73.36, 2.37, 112),
    Variant("x_040", 23, 96, 38.65, 2.43, 40), Variant("y_040", 22, 96, 31.41, 2.24, 64),
    Variant("x_004", 22, 24, 24.48, 2.54, 16), Variant("y_008", 14, 56, 38.84, 2.4, 16),
    Variant("y_080", 17, 192, 76.82, 2.19, 56),
  ]
}
