// SPDX-License-Identifier: Apache-2.0

import ThawNetwork

/// Layers of `keras.applications` under our names.
///
/// A rule a family; a name that no rule knows gives nil. Older spellings are known too: those of
/// Keras 1 (`res2a_branch2b`), and slashes where newer versions have underscores (`conv1/bn`).
///
/// - Source: keras, src/applications; fchollet/deep-learning-models for the older names.
struct KerasNames {
  private let layers: (String) -> String?

  /// The names of the family that `architecture` belongs to; nil when Keras has no such network.
  init?(architecture: String, graph: Graph) {
    if architecture.hasPrefix("vgg"), !architecture.contains("_bn") {
      let convolutions = graph.nodes.compactMap { node -> String? in
        if case .convolution = node.operation { node.path.description } else { nil }
      }
      let depth = Int(architecture.dropFirst(3).prefix(2)) ?? 16
      layers = { KerasNames.vgg($0, convolutions, depth: depth) }
    } else if architecture.hasPrefix("resnet"), architecture.hasSuffix("_keras") {
      layers = KerasNames.resNet
    } else if architecture == "inception_resnet_v2_keras" {
      let known = KerasNames.inceptionResNet(graph)
      layers = { known[$0] }
    } else if architecture == "inception_v3_keras" {
      layers = KerasNames.inception
    } else if architecture.hasPrefix("mobilenet_v2"), architecture.hasSuffix("_keras") {
      layers = KerasNames.mobileNet
    } else if architecture.hasPrefix("densenet"), architecture.hasSuffix("_keras") {
      layers = KerasNames.denseNet
    } else if architecture.hasPrefix("efficientnet_b"), architecture.hasSuffix("_keras") {
      layers = KerasNames.efficientNet
    } else if architecture.hasPrefix("convnext_") {
      layers = { KerasNames.convNeXt($0, prefix: architecture + "_") }
    } else {
      return nil
    }
  }

  /// Our layer for a Keras layer's name; outer scopes (`model/block1_conv1`) are left out when the
  /// whole name is unknown.
  func layer(_ name: String) -> String? {
    var rest = name[...]
    while true {
      if let layer = layers(rest.split(separator: "/").joined(separator: "_")) { return layer }
      guard let slash = rest.firstIndex(of: "/") else { return nil }
      rest = rest[rest.index(after: slash)...]
    }
  }

  /// Layers that only prepare the pixels: that is the preprocessing contract's affair.
  static func isPreprocessing(_ name: String) -> Bool {
    ["mean", "variance", "count"].contains { name.hasSuffix("/" + $0) }
      && name.contains("normalization")
  }

  /// A layer norm with the name that Keras gives it when nobody else does.
  static func isUnnamedNorm(_ layer: String) -> Bool {
    let name = layer.split(separator: "/").last ?? ""
    return name == "layer_normalization" || name.hasPrefix("layer_normalization_")
  }

  // MARK: Families

  private static func vgg(_ name: String, _ convolutions: [String], depth: Int) -> String? {
    switch name {
    case "fc1": return "classifier.0"
    case "fc2": return "classifier.3"
    default: break
    }
    let parts = name.split(separator: "_")
    guard parts.count == 2, let block = number(parts[0], after: "block"),
      let index = number(parts[1], after: "conv"), (1...5).contains(block), index >= 1
    else { return nil }
    let repeats =
      [11: [1, 1, 2, 2, 2], 13: [2, 2, 2, 2, 2], 16: [2, 2, 3, 3, 3], 19: [2, 2, 4, 4, 4]][depth]
      ?? []
    guard repeats.indices.contains(block - 1), index <= repeats[block - 1] else { return nil }
    let position = repeats[..<(block - 1)].reduce(0, +) + index - 1
    return convolutions.indices.contains(position) ? convolutions[position] : nil
  }

  private static func resNet(_ name: String) -> String? {
    if let stem = ["conv1_conv": "conv1", "conv1_bn": "bn1", "conv1": "conv1", "bn_conv1": "bn1"][
      name]
    {
      return stem
    }
    let parts = name.split(separator: "_")
    if parts.count == 4, let stage = number(parts[0], after: "conv"),
      let block = number(parts[1], after: "block"), let layer = Int(parts[2])
    {
      return resNet(stage: stage, block: block - 1, layer: layer, isNorm: parts[3] == "bn")
    }
    guard parts.count == 2 else { return nil }
    // res2a_branch2b, bn4b12_branch1: letters are blocks, later numbered behind b.
    let isNorm = name.hasPrefix("bn")
    let place = parts[0].dropFirst(isNorm ? 2 : 3)
    guard isNorm || name.hasPrefix("res"), let stage = place.first.flatMap({ Int(String($0)) }),
      let letter = place.dropFirst().first, let first = letter.asciiValue, letter.isLowercase
    else { return nil }
    let block = Int(place.dropFirst(2)) ?? Int(first) - 97
    let layers: [Substring: Int] = ["branch1": 0, "branch2a": 1, "branch2b": 2, "branch2c": 3]
    guard let layer = layers[parts[1]] else { return nil }
    return resNet(stage: stage, block: block, layer: layer, isNorm: isNorm)
  }

  private static func resNet(stage: Int, block: Int, layer: Int, isNorm: Bool) -> String {
    let path = "layer\(stage - 1).\(block)"
    if layer == 0 { return "\(path).downsample.\(isNorm ? 1 : 0)" }
    return "\(path).\(isNorm ? "bn" : "conv")\(layer)"
  }

  private static func denseNet(_ name: String) -> String? {
    switch name {
    case "conv1_conv": return "features.conv0"
    case "conv1_bn": return "features.norm0"
    case "bn": return "features.norm5"
    default: break
    }
    let parts = name.split(separator: "_")
    if parts.count == 2, let stage = number(parts[0], after: "pool") {
      return "features.transition\(stage - 1).\(parts[1] == "bn" ? "norm" : "conv")"
    }
    guard parts.count == 4, let stage = number(parts[0], after: "conv"),
      let block = number(parts[1], after: "block")
    else { return nil }
    let layers = ["0_bn": "norm1", "1_conv": "conv1", "1_bn": "norm2", "2_conv": "conv2"]
    guard let layer = layers["\(parts[2])_\(parts[3])"] else { return nil }
    return "features.denseblock\(stage - 1).denselayer\(block).\(layer)"
  }

  private static func mobileNet(_ name: String) -> String? {
    switch name {
    case "Conv1", "conv1": return "features.0.0"
    case "bn_Conv1", "bn_conv1": return "features.0.1"
    case "Conv_1": return "features.18.0"
    case "Conv_1_bn": return "features.18.1"
    default: break
    }
    let block: Int
    let layer: Substring
    if name.hasPrefix("expanded_conv_") {
      (block, layer) = (1, name.dropFirst("expanded_conv_".count))
    } else {
      let parts = name.split(separator: "_", maxSplits: 2)
      guard parts.count == 3, parts[0] == "block", let number = Int(parts[1]) else { return nil }
      (block, layer) = (number + 1, parts[2])
    }
    let layers: [Substring: String] =
      block == 1
      ? ["depthwise": "0.0", "depthwise_BN": "0.1", "project": "1", "project_BN": "2"]
      : [
        "expand": "0.0", "expand_BN": "0.1", "depthwise": "1.0", "depthwise_BN": "1.1",
        "project": "2", "project_BN": "3",
      ]
    return layers[layer].map { "features.\(block).conv.\($0)" }
  }

  private static func efficientNet(_ name: String) -> String? {
    let ends = [
      "stem_conv": "conv_stem", "stem_bn": "bn1", "top_conv": "conv_head", "top_bn": "bn2",
    ]
    if let layer = ends[name] { return layer }
    let parts = name.split(separator: "_", maxSplits: 1)
    guard parts.count == 2, let place = parts[0].hasPrefix("block") ? parts[0].dropFirst(5) : nil,
      let stage = place.first.flatMap({ Int(String($0)) }),
      let letter = place.last?.asciiValue, place.count == 2
    else { return nil }
    let layers: [Substring: String] =
      stage == 1
      ? [
        "dwconv": "conv_dw", "bn": "bn1", "project_conv": "conv_pw", "project_bn": "bn2",
        "se_reduce": "se.conv_reduce", "se_expand": "se.conv_expand",
      ]
      : [
        "expand_conv": "conv_pw", "expand_bn": "bn1", "dwconv": "conv_dw", "bn": "bn2",
        "se_reduce": "se.conv_reduce", "se_expand": "se.conv_expand",
        "project_conv": "conv_pwl", "project_bn": "bn3",
      ]
    return layers[parts[1]].map { "blocks.\(stage - 1).\(Int(letter) - 97).\($0)" }
  }

  /// - Parameter prefix: the model's name, which begins the name of each layer.
  private static func convNeXt(_ name: String, prefix: String) -> String? {
    // Without its top the model ends with a layer norm that has no name of its own.
    if isUnnamedNorm(name) { return "classifier.0" }
    guard name.hasPrefix(prefix) else { return nil }
    let layer = name.dropFirst(prefix.count)
    let ends: [Substring: String] = [
      "stem_conv": "features.0.0", "stem_layernorm": "features.0.1",
      "head_layernorm": "classifier.0",
    ]
    if let end = ends[layer] { return end }
    let parts = layer.split(separator: "_", maxSplits: 4)
    if parts.count == 3, parts[0] == "downsampling", let stage = Int(parts[2]) {
      return ["layernorm": "0", "conv": "1"][parts[1]].map { "features.\(2 * stage + 2).\($0)" }
    }
    guard parts.count == 5, parts[0] == "stage", let stage = Int(parts[1]), parts[2] == "block",
      let block = Int(parts[3])
    else { return nil }
    let path = "features.\(2 * stage + 1).\(block)"
    let layers: [Substring: String] = [
      "depthwise_conv": ".block.0", "layernorm": ".block.2", "pointwise_conv_1": ".block.3",
      "pointwise_conv_2": ".block.5", "layer_scale": "",
    ]
    return layers[parts[4]].map { path + $0 }
  }

  /// Keras numbers the layers in the order of their creation; torchvision names them by branch.
  private static func inception(_ name: String) -> String? {
    for (stem, leaf) in [("conv2d", "conv"), ("batch_normalization", "bn")]
    where name.hasPrefix(stem) {
      let rest = name.dropFirst(stem.count)
      let number = rest.isEmpty ? 0 : rest.first == "_" ? Int(rest.dropFirst()) : nil
      guard let number, inceptionLayers.indices.contains(number) else { return nil }
      return inceptionLayers[number] + "." + leaf
    }
    return nil
  }

  /// In the order of their creation.
  private static let inceptionLayers = inceptionLayers { branches, _ in branches }

  /// In the order of the model: by distance from the output, see ``KerasPositions``.
  static let inceptionLayersByDepth = inceptionLayers { branches, order in
    order.map { branches[$0] }
  }

  /// - Parameter arrange: the branches of a block, and their places in the order of the model.
  private static func inceptionLayers(_ arrange: ([String], [Int]) -> [String]) -> [String] {
    func block(_ name: String, _ branches: [String], _ order: [Int]) -> [String] {
      arrange(branches, order).map { "Mixed_\(name).\($0)" }
    }
    let five = [
      "branch1x1", "branch5x5_1", "branch5x5_2", "branch3x3dbl_1", "branch3x3dbl_2",
      "branch3x3dbl_3", "branch_pool",
    ]
    let seven =
      ["branch1x1"] + (1...3).map { "branch7x7_\($0)" } + (1...5).map { "branch7x7dbl_\($0)" }
      + ["branch_pool"]
    let last = [
      "branch1x1", "branch3x3_1", "branch3x3_2a", "branch3x3_2b", "branch3x3dbl_1",
      "branch3x3dbl_2", "branch3x3dbl_3a", "branch3x3dbl_3b", "branch_pool",
    ]
    let stem = ["1a_3x3", "2a_3x3", "2b_3x3", "3b_1x1", "4a_3x3"].map { "Conv2d_\($0)" }
    let early = ["5b", "5c", "5d"].flatMap { block($0, five, [3, 1, 4, 0, 2, 5, 6]) }
    let shrinking = block(
      "6a", ["branch3x3"] + (1...3).map { "branch3x3dbl_\($0)" }, [1, 2, 0, 3])
    let middle = ["6b", "6c", "6d", "6e"].flatMap {
      block($0, seven, [4, 5, 1, 6, 2, 7, 0, 3, 8, 9])
    }
    let shrinkingAgain = block(
      "7a", ["branch3x3_1", "branch3x3_2"] + (1...4).map { "branch7x7x3_\($0)" },
      [2, 3, 0, 4, 1, 5])
    let late = ["7b", "7c"].flatMap { block($0, last, [4, 1, 5, 2, 3, 6, 7, 0, 8]) }
    return stem + early + shrinking + middle + shrinkingAgain + late
  }

  private static func number(_ text: Substring, after prefix: String) -> Int? {
    text.hasPrefix(prefix) ? Int(text.dropFirst(prefix.count)) : nil
  }
}

extension KerasNames {
  /// Keras counts the convolutions and batch norms through in our order, and names a block's last
  /// convolution (`block35_1_conv`) and the network's (`conv_7b`).
  private static func inceptionResNet(_ graph: Graph) -> [String: String] {
    var result: [String: String] = [
      "conv_7b": "conv2d_7b.conv", "conv_7b_bn": "conv2d_7b.bn", "predictions": "classif",
    ]
    var (convolutions, norms) = (0, 0)
    for node in graph.nodes where !node.path.description.hasPrefix("conv2d_7b.") {
      let path = node.path.description
      switch node.operation {
      case .convolution where path.hasSuffix(".conv2d"):
        let parts = path.split(separator: ".")
        let blocks: [Substring: String] = [
          "repeat": "block35", "repeat_1": "block17", "repeat_2": "block8", "block8": "block8",
        ]
        // Ten blocks of the last kind, of which timm keeps the last one apart.
        let number = parts[0] == "block8" ? 10 : (Int(parts[1]) ?? 0) + 1
        result["\(blocks[parts[0]] ?? "")_\(number)_conv"] = path
      case .convolution:
        result[convolutions == 0 ? "conv2d" : "conv2d_\(convolutions)"] = path
        convolutions += 1
      case .batchNormalization:
        result[norms == 0 ? "batch_normalization" : "batch_normalization_\(norms)"] = path
        norms += 1
      default: continue
      }
    }
    return result
  }

  /// Numbers of layers that Keras counted through (`conv2d_94` in the second model of a session)
  /// made to begin at 0 again; names that were given stay.
  static func renumbered(_ layers: [String]) -> [String: String] {
    var byStem: [String: [(name: String, number: Int)]] = [:]
    for name in Set(layers) {
      for stem in ["conv2d", "batch_normalization"] {
        let last = name.split(separator: "/").last.map(String.init) ?? name
        guard last.hasPrefix(stem) else { continue }
        let rest = last.dropFirst(stem.count)
        if rest.isEmpty {
          byStem[stem, default: []].append((name, 0))
        } else if rest.first == "_", let number = Int(rest.dropFirst()) {
          byStem[stem, default: []].append((name, number))
        }
      }
    }
    var result: [String: String] = [:]
    for (stem, found) in byStem {
      for (index, one) in found.sorted(by: { $0.number < $1.number }).enumerated() {
        result[one.name] = index == 0 ? stem : "\(stem)_\(index)"
      }
    }
    return result
  }
}
