// SPDX-License-Identifier: Apache-2.0

package import SystemPackage

/// Reads ONNX files: the graph of operations, and its tensors where they lie.
///
/// What the file says is checked before it is believed: sizes, types, names. Sub-graphs and sparse
/// tensors are noticed and never entered, so depth and time are bounded by the size of the file.
/// Whether the graph makes sense (cycles, missing values) is the affair of who translates it.
package struct ONNXReader {
  /// Opens a file and checks its structure; tensors are read when they are asked for.
  ///
  /// - Parameter externalData: whether tensors may lie in other files beside this one.
  /// - Throws: ``CheckpointError`` naming what is wrong with it.
  package static func read(
    _ path: FilePath, externalData: ONNXExternalData = .refused
  ) throws(CheckpointError) -> ONNXModel {
    let source = try ByteSource(path)
    guard source.kind == .regular else {
      throw CheckpointError(path, .wrongFormat, "this is not a regular file")
    }
    return try read(source, externalData)
  }

  /// The same for a file in memory; `path` is its name in messages. External data is refused.
  ///
  /// - Throws: ``CheckpointError``.
  package static func read(
    bytes: [UInt8], named path: FilePath
  ) throws(CheckpointError) -> ONNXModel {
    try read(ByteSource(bytes, path: path), .refused)
  }

  static func read(
    _ source: ByteSource, _ externalData: ONNXExternalData
  ) throws(CheckpointError) -> ONNXModel {
    guard source.count > 0 else {
      throw CheckpointError(source.path, .wrongFormat, "this is an empty file")
    }
    var reader = ONNXReader(source, externalData)
    return try reader.model()
  }

  let source: ByteSource
  var external: ONNXExternalFiles
  /// Things still allowed to be kept (nodes, names, settings): memory is bounded by it.
  private var allowance = 2_000_000

  private init(_ source: ByteSource, _ externalData: ONNXExternalData) {
    self.source = source
    external = ONNXExternalFiles(externalData, beside: source.path)
  }

  /// Counts something that is kept.
  mutating func keep(
    _ field: ProtobufField, _ reader: ProtobufReader
  ) throws(CheckpointError) {
    allowance -= 1
    guard allowance >= 0 else {
      throw reader.error("the graph has more than 2000000 parts", .tooLarge, at: field)
    }
  }

  // MARK: Messages

  private mutating func model() throws(CheckpointError) -> ONNXModel {
    var reader = ProtobufReader(source)
    var graph: ONNXGraph?
    var model = ONNXModel(
      irVersion: 0, operationSets: [:],
      graph: ONNXGraph(
        name: "", nodes: [], initializers: [], inputs: [], outputs: []))
    while let field = try reader.next() {
      switch field.number {
      case ONNXField.Model.irVersion:
        model.irVersion = try reader.integer(field, "the IR version")
      case ONNXField.Model.producerName:
        model.producer.name = try reader.text(field, "the producer's name")
      case ONNXField.Model.producerVersion:
        model.producer.version = try reader.text(field, "the producer's version")
      case ONNXField.Model.graph:
        guard graph == nil else { throw reader.error("a second graph", at: field) }
        graph = try self.graph(reader.part(try reader.range(field, "the graph")))
      case ONNXField.Model.operationSet:
        try keep(field, reader)
        let part = reader.part(try reader.range(field, "an operation set"))
        try addOperationSet(part, to: &model.operationSets)
      case ONNXField.Model.metadata:
        try keep(field, reader)
        let (key, value) = try entry(reader.part(try reader.range(field, "the metadata")))
        guard model.metadata.updateValue(value, forKey: key) == nil else {
          throw reader.error("the metadata has \(quoted(key)) twice", at: field)
        }
      case ONNXField.Model.functions:
        throw reader.error(
          "refuses functions defined in the file", .refused, at: field,
          nextStep: "Inline them: onnx.inliner.inline_local_functions(model).")
      default: break
      }
    }
    guard let graph, !model.operationSets.isEmpty else {
      throw CheckpointError(
        source.path, .wrongFormat,
        "this is not an ONNX model, \(graph == nil ? "no graph" : "no operation set") in it")
    }
    model.graph = graph
    return model
  }

  private func addOperationSet(
    _ message: ProtobufReader, to sets: inout [String: Int]
  ) throws(CheckpointError) {
    var reader = message
    var (domain, version) = ("", 0)
    while let field = try reader.next() {
      switch field.number {
      case ONNXField.OperationSet.domain: domain = try reader.text(field, "a domain")
      case ONNXField.OperationSet.version: version = try reader.integer(field, "a version")
      default: break
      }
    }
    // The two spellings of ONNX's own domain.
    if domain == "ai.onnx" { domain = "" }
    guard sets.updateValue(version, forKey: domain) == nil else {
      throw reader.error("the operation set of domain \(quoted(domain)) is there twice")
    }
  }

  /// A key and a value, texts.
  func entry(_ message: ProtobufReader) throws(CheckpointError) -> (key: String, value: String) {
    var reader = message
    var entry = (key: "", value: "")
    while let field = try reader.next() {
      switch field.number {
      case ONNXField.Entry.key: entry.key = try reader.text(field, "a key")
      case ONNXField.Entry.value:
        entry.value = try reader.text(field, "the text \(quoted(entry.key))", limit: 1 << 26)
      default: break
      }
    }
    return entry
  }

  private mutating func graph(_ message: ProtobufReader) throws(CheckpointError) -> ONNXGraph {
    var reader = message
    var graph = ONNXGraph(name: "", nodes: [], initializers: [], inputs: [], outputs: [])
    var names: Set<String> = []
    while let field = try reader.next() {
      func part(_ what: String) throws(CheckpointError) -> ProtobufReader {
        reader.part(try reader.range(field, what))
      }
      switch field.number {
      case ONNXField.Graph.name: graph.name = try reader.text(field, "the graph's name")
      case ONNXField.Graph.node:
        try keep(field, reader)
        graph.nodes.append(try node(part("a node")))
      case ONNXField.Graph.initializer:
        try keep(field, reader)
        let constant = try constant(part("a tensor"))
        guard names.insert(constant.name).inserted else {
          throw reader.error("two tensors are called \(quoted(constant.name))", at: field)
        }
        switch constant {
        case .numbers(let tensor): graph.initializers.append(tensor)
        case .texts(let name, let texts): graph.texts[name] = texts
        }
      case ONNXField.Graph.input:
        try keep(field, reader)
        graph.inputs.append(try value(part("an input")))
      case ONNXField.Graph.output:
        try keep(field, reader)
        graph.outputs.append(try value(part("an output")))
      case ONNXField.Graph.sparse:
        throw reader.error("refuses sparse tensors", .refused, at: field)
      default: break
      }
    }
    return graph
  }

  private mutating func node(_ message: ProtobufReader) throws(CheckpointError) -> ONNXNode {
    var reader = message
    var node = ONNXNode("", inputs: [], outputs: [])
    while let field = try reader.next() {
      switch field.number {
      case ONNXField.Node.input:
        try keep(field, reader)
        node.inputs.append(try reader.text(field, "the name of an input"))
      case ONNXField.Node.output:
        try keep(field, reader)
        node.outputs.append(try reader.text(field, "the name of an output"))
      case ONNXField.Node.name: node.name = try reader.text(field, "the name of a node")
      case ONNXField.Node.operation: node.operation = try reader.text(field, "an operation")
      case ONNXField.Node.domain:
        let domain = try reader.text(field, "a domain")
        node.domain = domain == "ai.onnx" ? "" : domain
      case ONNXField.Node.attribute:
        try keep(field, reader)
        let part = reader.part(try reader.range(field, "an attribute"))
        let (name, value) = try attribute(part)
        guard node.attributes.updateValue(value, forKey: name) == nil else {
          throw reader.error("\(node.displayed) has the attribute \(quoted(name)) twice", at: field)
        }
      default: break
      }
    }
    return node
  }

  private func value(_ message: ProtobufReader) throws(CheckpointError) -> ONNXValue {
    var reader = message
    var value = ONNXValue("", nil, nil)
    while let field = try reader.next() {
      switch field.number {
      case ONNXField.Value.name: value.name = try reader.text(field, "the name of a value")
      case ONNXField.Value.type:
        var type = reader.part(try reader.range(field, "a type"))
        while let field = try type.next() {
          guard field.number == ONNXField.ValueType.tensor else { continue }
          try readTensorType(type.part(try type.range(field, "a tensor's type")), into: &value)
        }
      default: break
      }
    }
    return value
  }

  private func readTensorType(
    _ message: ProtobufReader, into value: inout ONNXValue
  ) throws(CheckpointError) {
    var reader = message
    while let field = try reader.next() {
      switch field.number {
      case ONNXField.TensorType.element:
        value.elementType = ElementType(onnxCode: try reader.integer(field, "an element type"))
      case ONNXField.TensorType.shape:
        var dimensions: [ONNXDimension] = []
        var shape = reader.part(try reader.range(field, "a shape"))
        while let field = try shape.next() {
          guard field.number == ONNXField.TensorShape.dimension else { continue }
          guard dimensions.count < CheckpointLimits.rank else {
            throw shape.error(
              "value \(quoted(value.name)) has more than \(CheckpointLimits.rank) dimensions",
              .tooLarge, at: field)
          }
          dimensions.append(try dimension(shape.part(try shape.range(field, "a dimension"))))
        }
        value.dimensions = dimensions
      default: break
      }
    }
  }

  private func dimension(_ message: ProtobufReader) throws(CheckpointError) -> ONNXDimension {
    var reader = message
    var result = ONNXDimension.unknown
    while let field = try reader.next() {
      switch field.number {
      case ONNXField.Dimension.size:
        let size = try reader.integer(field, "a dimension")
        // Some exporters write -1 or 0 for a free extent.
        result = size > 0 ? .size(size) : .unknown
      case ONNXField.Dimension.name:
        let name = try reader.text(field, "a dimension's name")
        result = name.isEmpty ? .unknown : .named(name)
      default: break
      }
    }
    return result
  }
}
