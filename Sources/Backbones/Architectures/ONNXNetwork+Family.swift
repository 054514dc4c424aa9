// SPDX-License-Identifier: Apache-2.0

import Foundation
package import SystemPackage
package import ThawCheckpoints
package import ThawGraphs
package import ThawImages
package import ThawNetwork

extension Architecture {
  /// The name of every architecture that comes from an ONNX file instead of a builder.
  package static let onnxName = "onnx"

  /// The architecture of an imported network: its layers before the head, under any head.
  package init(_ network: ONNXNetwork) {
    self.init(name: Architecture.onnxName, ONNXFamily(network: network))
  }

  /// The network that a model file describes: built by name, or for an imported one from the
  /// structure that travels in the file.
  ///
  /// - Throws: ``BackboneError/unknownArchitecture(_:known:)``, ``GraphError/notImportable(file:reason:)``.
  package static func graph(
    of record: ModelRecord, _ parameters: Parameters, head: Head, file: FilePath
  ) throws -> Graph {
    guard record.architecture == onnxName else {
      return try Architecture(named: record.architecture).graph(head)
    }
    guard let structure = record.structure else {
      throw GraphError.notImportable(
        file: file.displayed, reason: "the structure of the imported network is missing in it")
    }
    return try ONNXStructure.graph(structure, parameters, file: file)
  }
}

/// The layers of an imported network as a family of its own.
private struct ONNXFamily: NetworkFamily {
  static let names: [String] = []
  let network: ONNXNetwork

  init(network: ONNXNetwork) { self.network = network }
  init?(name: String) { return nil }

  func graph(head: Head) -> Graph { network.graph(head: head) }
}

extension ONNXNetwork {
  /// The network with another head: everything but the last layer group, global average pooling when
  /// that is still an image, then `head`.
  package func graph(head: Head) -> Graph {
    let old = graph.groups.count - 1
    let body = graph.nodes.filter { $0.group < old }
    var builder = GraphBuilder(
      name: graph.name, inputChannels: graph.inputChannels, firstGroup: graph.groups[0].name)
    var group = 0
    for node in body.dropFirst() {
      while group < node.group {
        group += 1
        builder.beginGroup(graph.groups[group].name)
      }
      builder.add(node.path, node.operation, node.inputs)
    }
    if features.rank == 4 {
      builder.add(headPath(in: body, "pool"), .globalAveragePooling)
      builder.add(headPath(in: body, "flatten"), .flatten)
    }
    builder.addHead(head, features: features[1], path: headPath(in: body, nil))
    return builder.build()
  }

  /// The path of the replaced head, or of something beside it, that no layer of the body has.
  private func headPath(in body: [Node], _ extra: String?) -> ParameterPath {
    let last = graph.nodes.filter { $0.group == graph.groups.count - 1 }
    let weighted = last.filter { !$0.parameters.isEmpty }
    let own = weighted.count > 1 ? graph.output.path.parent : graph.output.path
    var path = own.description.isEmpty ? graph.output.path : own
    if let extra { path = ParameterPath("\(path)_\(extra)") }
    while body.contains(where: { $0.path == path || $0.path.description.hasPrefix("\(path).") }) {
      path = ParameterPath("\(path)_")
    }
    return path
  }
}

/// An imported network without its weights, as a text in a model file: its ONNX graph in Base64. The
/// constants that are parameters are left out, the model file has them as tensors.
package enum ONNXStructure {
  /// The text for `graph`.
  ///
  /// - Throws: what ``ONNXExporter`` throws.
  package static func text(
    of graph: Graph, _ parameters: Parameters, preprocessing: Preprocessing
  ) throws -> String {
    var options = ONNXExporter.Options()
    options.results = .logits
    options.keepsMatrices = true
    var model = try ONNXExporter.model(
      of: graph, parameters, preprocessing: preprocessing, options: options)
    model.graph.initializers.removeAll { parameters[ParameterPath($0.name)] != nil }
    return Data(try ONNXWriter.bytes(model)).base64EncodedString()
  }

  /// The graph of a text, checked against the parameters as any ONNX file is.
  ///
  /// - Throws: ``GraphError/notImportable(file:reason:)``, `CheckpointError`, `NetworkError`.
  static func graph(
    _ text: String, _ parameters: Parameters, file: FilePath
  ) throws -> Graph {
    guard let data = Data(base64Encoded: text) else {
      throw GraphError.notImportable(
        file: file.displayed, reason: "the structure of the imported network is damaged")
    }
    var model = try ONNXReader.read(bytes: Array(data), named: file)
    for path in parameters.paths {
      guard let tensor = parameters[path] else { continue }
      model.graph.initializers.append(StoredTensor(path.description, tensor))
    }
    return try ONNXNetwork(model, file: file).graph
  }
}
