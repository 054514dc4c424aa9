// SPDX-License-Identifier: Apache-2.0

import ThawNetwork

/// Layers of a `keras.applications` model by class and number, as files call them that have no names:
/// `conv2d_12` is the thirteenth convolution in the order of the model.
///
/// That order is not the order of creation, which numbers Inception's layers where names are known: a
/// functional model's layers are sorted by their distance from the output, and among equals by the
/// order in which the branches are joined. Because it follows from the model alone, and every class must
/// have exactly as many layers as the network, no two layers of one shape can be mistaken.
///
/// ConvNeXt's stem and downsamplings are models within the model: `sequential_1/conv2d`.
///
/// - Source: keras, src/models/functional.py (`map_graph_network`); the order in
///   Tests/BackbonesTests/Fixtures/names was written by Keras.
struct KerasPositions {
  /// Our layer for each of theirs.
  private let layers: [String: String]

  /// The layers of `graph` before its head; nil when Keras has no such network.
  init?(architecture: String, graph: Graph) {
    guard KerasNames(architecture: architecture, graph: graph) != nil else { return nil }
    let body = graph.nodes.filter { $0.group < graph.groups.count - 1 }
    let isConvNeXt = architecture.hasPrefix("convnext")
    var numbers: [String: Int] = [:]
    var layers: [String: String] = [:]
    for node in KerasPositions.inOrderOfTheModel(body, architecture) {
      guard let kind = KerasPositions.className(node.operation, isConvNeXt) else { continue }
      if isConvNeXt, let model = KerasPositions.innerModel(of: node.path.description) {
        layers["\(model)/\(kind)"] = node.path.description
        continue
      }
      let number = numbers[kind, default: 0]
      numbers[kind] = number + 1
      layers[number == 0 ? kind : "\(kind)_\(number)"] = node.path.description
    }
    self.layers = layers
  }

  /// Our layer for a Keras layer's place; models around the network are left out.
  func layer(_ place: String) -> String? {
    var rest = place[...]
    while true {
      if let layer = layers[String(rest)] { return layer }
      guard let slash = rest.firstIndex(of: "/") else { return nil }
      rest = rest[rest.index(after: slash)...]
    }
  }

  /// The stem and the three downsamplings of ConvNeXt: `features.0.1`, `features.4.0`.
  private static func innerModel(of path: String) -> String? {
    let parts = path.split(separator: ".")
    guard parts.count == 3, parts[0] == "features", let index = Int(parts[1]), index % 2 == 0
    else { return nil }
    return index == 0 ? "sequential" : "sequential_\(index / 2)"
  }

  /// - Parameter isConvNeXt: there depthwise convolutions are grouped ones, and 1x1 ones are dense.
  private static func className(
    _ operation: ThawNetwork.Operation, _ isConvNeXt: Bool
  ) -> String? {
    switch operation {
    case .convolution(let layer) where isConvNeXt: layer.storesMatrix ? "dense" : "conv2d"
    case .convolution(let layer): layer.groups > 1 ? "depthwise_conv2d" : "conv2d"
    case .layerNormalization: "layer_normalization"
    case .channelScale: "layer_scale"
    case .batchNormalization: "batch_normalization"
    case .dense: "dense"
    default: nil
    }
  }

  /// Chains keep their order; what differs is where branches join.
  private static func inOrderOfTheModel(_ nodes: [Node], _ architecture: String) -> [Node] {
    let places = Dictionary(
      nodes.enumerated().map { ($1.path.description, $0) }, uniquingKeysWith: { first, _ in first })
    let inception = Dictionary(
      KerasNames.inceptionLayersByDepth.enumerated().map { ($1, $0) },
      uniquingKeysWith: { first, _ in first })
    func place(_ index: Int, _ path: ParameterPath) -> Double {
      let name = path.description
      if architecture.hasPrefix("inception") {
        return Double(inception[path.parent.description] ?? -1)
      }
      // A shortcut's convolution is as far from the output as the last of its block, and joined first.
      if let cut = name.range(of: ".downsample."),
        let last = places[name[..<cut.lowerBound] + ".conv3"]
      {
        return Double(last) - 0.5
      }
      return Double(index)
    }
    return nodes.enumerated().map { (place($0, $1.path), $0, $1) }
      .sorted { ($0.0, $0.1) < ($1.0, $1.1) }.map(\.2)
  }
}
