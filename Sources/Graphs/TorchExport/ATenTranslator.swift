// SPDX-License-Identifier: Apache-2.0

package import ThawCheckpoints
import ThawTensors

/// Translates the graph of an exported PyTorch program into ONNX's operations, which ``ONNXImporter`` makes
/// a network of.
///
/// Parameters keep their names in the module, so layers do too.
package struct ATenTranslator {
  private let archive: TorchExportArchive
  let graph: JSONValue
  /// Values of the program under the names that they have here.
  private var names: [String: String] = [:]
  private var nodes: [ONNXNode] = []
  private var initializers: [StoredTensor] = []
  /// Values that count from 0 or more, and masks that hide nothing: made of no photo, and of no use here.
  var counts: Set<String> = []
  var openMasks: Set<String> = []

  /// The program as an ONNX model, in memory.
  ///
  /// - Throws: ``GraphError/notImportable(file:reason:)`` naming the first operation that has no
  ///   counterpart.
  package static func model(_ archive: TorchExportArchive) throws -> ONNXModel {
    guard let graph = archive.program["graph_module"]?["graph"] else {
      throw GraphError.notImportable(
        file: archive.path.displayed, reason: "the archive describes no graph")
    }
    var translator = ATenTranslator(archive: archive, graph: graph)
    return try translator.translated()
  }

  private init(archive: TorchExportArchive, graph: JSONValue) {
    self.archive = archive
    self.graph = graph
  }

  private mutating func translated() throws -> ONNXModel {
    let signature = archive.program["graph_module"]?["signature"]
    var photos: [String] = []
    for spec in signature?["input_specs"]?.elements ?? [] {
      if let photo = spec["user_input"]?["arg"]?["as_tensor"]?["name"]?.text {
        photos.append(photo)
        continue
      }
      for (kind, key) in [
        ("parameter", "parameter_name"), ("buffer", "buffer_name"),
        ("tensor_constant", "tensor_constant_name"),
      ] {
        guard let own = spec[kind]?[key]?.text, let value = spec[kind]?["arg"]?["name"]?.text else {
          continue
        }
        names[value] = own
      }
    }
    guard let photo = photos.first, photos.count == 1 else {
      throw failure("an image classifier has one input, this program has \(photos.count)")
    }
    initializers = archive.tensors.sorted { $0.key < $1.key }.map(\.value)
    for json in graph["nodes"]?.elements ?? [] {
      guard let call = ATenCall(json) else { throw failure("an operation has no name") }
      try translate(call)
    }
    let outputs = (signature?["output_specs"]?.elements ?? []).compactMap {
      $0["user_output"]?["arg"]?["as_tensor"]?["name"]?.text
    }
    let version = archive.program["torch_version"]?.text ?? ""
    return ONNXModel(
      producer: ("torch.export of PyTorch", version),
      graph: ONNXGraph(
        name: "program", nodes: nodes, initializers: initializers,
        inputs: [
          ONNXValue(
            photo, .float32,
            extents(photo).map { $0.map { $0.map(ONNXDimension.size) ?? .named("batch") } })
        ],
        outputs: outputs.map { ONNXValue(name($0), .float32, nil) }))
  }

  func failure(_ reason: String) -> GraphError {
    .notImportable(file: archive.path.displayed, reason: reason)
  }

  func failure(_ call: ATenCall, _ reason: String) -> GraphError {
    failure("\(call.displayed): \(reason)")
  }

  // MARK: Values

  /// The name of a value here.
  func name(_ value: String) -> String { names[value] ?? value }

  /// The extents of a value as it was traced; nil where one is free.
  func extents(_ value: String) -> [Int?]? {
    graph["tensor_values"]?[value]?["sizes"]?.elements?.map { $0["as_int"]?.integer }
  }

  /// Whether a value's numbers are floating-point ones; nil when the program does not say.
  ///
  /// - Source: torch/_export/serde/schema.py, `ScalarType`.
  func isFloatingPoint(_ value: String) -> Bool? {
    (graph["tensor_values"]?[value]?["dtype"]?.integer).map { [6, 7, 8, 13].contains($0) }
  }

  /// The argument's value, which must be there.
  func value(_ call: ATenCall, _ argument: String) throws -> String {
    guard let value = call.tensor(argument) else {
      throw failure(call, "its argument '\(argument)' is no tensor")
    }
    return name(value)
  }

  /// The stored tensor that a value is; nil when it is computed.
  func stored(_ value: String) -> StoredTensor? { archive.tensors[value] }

  /// Adds a constant and returns its name.
  mutating func constant(_ call: ATenCall, _ suffix: String, _ tensor: Tensor<Float>) -> String {
    let name = "\(call.name).\(suffix)"
    initializers.append(StoredTensor(name, tensor))
    return name
  }

  mutating func constant(_ name: String, _ tensor: StoredTensor) -> String {
    if !initializers.contains(where: { $0.name == name }) {
      initializers.append(tensor.renamed(name))
    }
    return name
  }

  /// Adds an operation whose result is the call's.
  mutating func emit(
    _ operation: String, _ call: ATenCall, _ inputs: [String],
    _ attributes: [String: ONNXAttribute] = [:]
  ) throws {
    guard let result = call.result else { throw failure(call, "it makes no tensor") }
    nodes.append(
      ONNXNode(
        operation, name: call.name, inputs: inputs, outputs: [result], attributes: attributes))
  }

  /// Adds an operation of which the call's result `index` is one.
  mutating func emit(
    _ operation: String, _ call: ATenCall, resultAt index: Int, _ inputs: [String],
    _ attributes: [String: ONNXAttribute]
  ) throws {
    guard call.results.indices.contains(index) else { throw failure(call, "a result is missing") }
    nodes.append(
      ONNXNode(
        operation, name: "\(call.name).\(index)", inputs: inputs, outputs: [call.results[index]],
        attributes: attributes))
  }

  /// Adds an operation on the way to the call's result, and returns its result's name.
  mutating func step(
    _ operation: String, _ call: ATenCall, _ suffix: String, _ inputs: [String],
    _ attributes: [String: ONNXAttribute] = [:]
  ) -> String {
    let result = "\(call.name).\(suffix)"
    nodes.append(
      ONNXNode(
        operation, name: result, inputs: inputs, outputs: [result], attributes: attributes))
    return result
  }
}
