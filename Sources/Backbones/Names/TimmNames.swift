// SPDX-License-Identifier: Apache-2.0

package import ThawCheckpoints
package import ThawNetwork
package import ThawTensors

/// timm's names where they differ from the ones a family knows itself.
///
/// - Source: timm, timm/models/vgg.py and mobilenetv3.py (`mobilenetv2_100`).
package enum TimmNames {
  /// Our name of the network that timm calls `name`; `name` where it is the same, or not timm's.
  ///
  /// Our EfficientNet-Lite is the one that timm ported from TensorFlow.
  package static func network(_ name: String) -> String {
    let plain = String(name.prefix { $0 != "." })
    if plain.hasPrefix("tf_efficientnet_lite") { return String(plain.dropFirst("tf_".count)) }
    return plain.hasPrefix("efficientnet_lite") ? "\(plain)_timm" : name
  }

  /// The translation for an architecture; nil when timm has our names, or the family knows its.
  static func translation(for architecture: String) -> ((String) -> String)? {
    if architecture.hasPrefix("vgg") { return vgg }
    if architecture.hasPrefix("mobilenet_v2") { return mobileNet }
    return nil
  }

  /// timm turns the dense layers into convolutions and calls the head `head.fc`.
  private static func vgg(_ name: String) -> String {
    let layers = [
      "pre_logits.fc1.": "classifier.0.", "pre_logits.fc2.": "classifier.3.",
      "head.fc.": "classifier.6.",
    ]
    for (theirs, ours) in layers where name.hasPrefix(theirs) {
      return ours + name.dropFirst(theirs.count)
    }
    return name
  }

  /// timm counts blocks within a stage, torchvision through.
  private static func mobileNet(_ name: String) -> String {
    let ends = [
      "conv_stem.": "features.0.0.", "bn1.": "features.0.1.", "conv_head.": "features.18.0.",
      "bn2.": "features.18.1.", "classifier.": "classifier.1.",
    ]
    for (theirs, ours) in ends where name.hasPrefix(theirs) {
      return ours + name.dropFirst(theirs.count)
    }
    let parts = name.split(separator: ".").map(String.init)
    guard parts.count == 5, parts[0] == "blocks", let stage = Int(parts[1]),
      let index = Int(parts[2]), stage >= 0, stage < 7
    else { return name }
    let before = [0, 1, 3, 6, 10, 13, 16]
    let layers =
      stage == 0
      ? ["conv_dw": "0.0", "bn1": "0.1", "conv_pw": "1", "bn2": "2"]
      : [
        "conv_pw": "0.0", "bn1": "0.1", "conv_dw": "1.0", "bn2": "1.1", "conv_pwl": "2",
        "bn3": "3",
      ]
    guard let layer = layers[parts[3]] else { return name }
    return "features.\(before[stage] + index + 1).conv.\(layer).\(parts[4])"
  }
}

extension TimmNames {
  /// timm's name for each layer of ours that is called otherwise there; empty when all agree.
  fileprivate static func layers(_ architecture: Architecture, _ graph: Graph) -> [String: String] {
    let name = architecture.name
    if name.hasPrefix("efficientnet_b"), let port = try? Architecture(named: "tf_\(name)") {
      // The port of TensorFlow's weights is the same network under timm's names.
      let theirs = port.graph(Head(classes: 1)).nodes
      let ours = architecture.graph(Head(classes: 1)).nodes
      return Dictionary(
        zip(ours, theirs).map { ($0.path.description, $1.path.description) },
        uniquingKeysWith: { first, _ in first })
    }
    if name.hasPrefix("convnext_") {
      return inverted(convNeXtLayers) { architecture.path(of: $0, naming: .published)?.description }
    }
    if name.hasPrefix("regnet") {
      return inverted(regNetLayers) { architecture.path(of: $0, naming: .published)?.description }
    }
    guard let translate = translation(for: name) else { return [:] }
    return inverted(name.hasPrefix("vgg") ? vggLayers : mobileNetLayers, translate)
  }

  /// Our layer for each of theirs, the other way round.
  private static func inverted(
    _ layers: [String], _ translate: (String) -> String?
  ) -> [String: String] {
    var result: [String: String] = [:]
    for layer in layers {
      guard let ours = translate(layer + ".weight") else { continue }
      result[String(ours.dropLast(".weight".count))] = layer
    }
    return result
  }

  private static let vggLayers = ["pre_logits.fc1", "pre_logits.fc2", "head.fc"]
  private static let mobileNetLayers: [String] =
    ["conv_stem", "bn1", "conv_head", "bn2", "classifier"]
    + [1, 2, 3, 4, 3, 3, 1].enumerated().flatMap { stage, blocks in
      (0..<blocks).flatMap { block in
        ["conv_pw", "bn1", "conv_dw", "bn2", "conv_pwl", "bn3"].map {
          "blocks.\(stage).\(block).\($0)"
        }
      }
    }
  private static let regNetLayers: [String] =
    ["stem.conv", "stem.bn", "head.fc"]
    + (1...4).flatMap { stage in
      (1...30).flatMap { block in
        (["conv1", "conv2", "conv3", "downsample"].flatMap { ["\($0).conv", "\($0).bn"] }
          + ["se.fc1", "se.fc2"]).map { "s\(stage).b\(block).\($0)" }
      }
    }
  private static let convNeXtLayers: [String] =
    ["stem.0", "stem.1", "head.norm", "head.fc"]
    + (0..<4).flatMap { stage in
      // The first stage's place in torchvision is the stem's.
      (stage == 0 ? [] : ["stages.\(stage).downsample.0", "stages.\(stage).downsample.1"])
        + (0..<27).flatMap { block in
          ["conv_dw", "norm", "mlp.fc1", "mlp.fc2"].map { "stages.\(stage).blocks.\(block).\($0)" }
        }
    }

  /// timm's name and shape for a parameter of `architecture`; see ``Architecture/timmTensors(_:)``.
  fileprivate static func tensor(
    _ path: ParameterPath, _ shape: Shape, _ layers: [String: String]
  ) -> (name: String, shape: Shape) {
    let leaf = String(path.leaf)
    if leaf == "layer_scale" {
      // `features.3.1.layer_scale` is `stages.1.blocks.1.gamma`.
      let parts = path.description.split(separator: ".").map(String.init)
      let stage = (Int(parts[1]) ?? 1) / 2
      return ("stages.\(stage).blocks.\(parts[2]).gamma", [shape[0]])
    }
    // A head with a hidden layer is a sequence in the head's place.
    var layer = path.parent.description
    var rest = "." + leaf
    while layers[layer] == nil, let dot = layer.lastIndex(of: ".") {
      rest = layer[dot...] + rest
      layer = String(layer[..<dot])
    }
    guard let theirs = layers[layer] else { return (path.description, shape) }
    let isConvolution = theirs.hasPrefix("pre_logits.fc") && leaf == "weight"
    let side = theirs == "pre_logits.fc1" ? 7 : 1
    return (
      theirs + rest,
      isConvolution ? [shape[0], shape[1] / (side * side), side, side] : shape
    )
  }
}

extension TimmNames {
  /// timm's name of a layer scale where a network's positions turn queries and keys; nil for any other
  /// parameter.
  ///
  /// - Source: timm, timm/models/eva.py.
  fileprivate static func rotary(_ path: ParameterPath) -> String? {
    rotaryTable.translate(path.description)
  }

  private static let rotaryTable = [NamePattern]([
    "blocks.#.ls1.gamma": "blocks.{0}.gamma_1",
    "blocks.#.ls2.gamma": "blocks.{0}.gamma_2",
  ])
}

extension Architecture {
  /// The tensors of `graph` under timm's names and in its shapes.
  ///
  /// - Parameter graph: of this architecture, with any head.
  /// - Returns: name and shape by our path; nil when timm has no such network.
  package func timmTensors(_ graph: Graph) -> [ParameterPath: (name: String, shape: Shape)]? {
    let isOurs = ["_keras", "_flat", "_pooled"].contains { name.hasSuffix($0) }
    // timm's MobileNetV3 and EfficientNetV2 have another epsilon than torchvision's, and some of its RegNets
    // other widths.
    let isElsewhere =
      ["cifar_", "efficientnet_v2_", "mobilenet_v3_", "squeezenet"].contains(where: name.hasPrefix)
      || ["regnet_x_400mf", "regnet_y_800mf", "regnet_y_8gf"].contains(name)
    guard !isOurs, !isElsewhere, name != Architecture.onnxName else { return nil }
    // transformers' features and its DeiT's second token are none of timm's.
    if let shape = VisionTransformerShape(name: name),
      [.classTokenAndMean, .plainMean].contains(shape.pooling)
        || ![0, shape.tokens.prefix].contains(shape.positioned)
    {
      return nil
    }
    // timm computes its periods in full precision.
    let shape = VisionTransformerShape(name: name)
    if shape?.roundsPeriods == true { return nil }
    let isRotary = shape?.rotaryBase != nil
    let isDistilled = shape?.pooling == .classAndDistillationToken
    let layers = TimmNames.layers(self, graph)
    var result: [ParameterPath: (name: String, shape: Shape)] = [:]
    for parameter in graph.parameters {
      if isRotary, let name = TimmNames.rotary(parameter.path) {
        result[parameter.path] = (name, parameter.shape)
      } else if isDistilled, parameter.path == "reg_token" {
        result[parameter.path] = ("dist_token", parameter.shape)
      } else {
        result[parameter.path] = TimmNames.tensor(parameter.path, parameter.shape, layers)
      }
    }
    return result
  }

  /// The values of `parameters` under timm's names, in its shapes.
  ///
  /// - Parameter graph: of this architecture, with any head.
  /// - Returns: nil when timm has no such network.
  package func timmTensors(_ graph: Graph, _ parameters: Parameters) -> [StoredTensor]? {
    guard let theirs = timmTensors(graph) else { return nil }
    let isDistilled =
      VisionTransformerShape(name: name)?.pooling == .classAndDistillationToken
    // Two classifiers take the place of one dense layer alone.
    if isDistilled, parameters["head.weight"] == nil { return nil }
    return parameters.paths.flatMap { path -> [StoredTensor] in
      guard let tensor = parameters[path], let place = theirs[path] else { return [] }
      guard isDistilled, path.parent == "head" else {
        return [StoredTensor(place.name, tensor).reshaped(place.shape)]
      }
      return zip(["head", "head_dist"], DistilledHeads.split(tensor)).map {
        StoredTensor("\($0).\(path.leaf)", $1)
      }
    }
  }
}
