// SPDX-License-Identifier: Apache-2.0

package import SystemPackage
import ThawFiles

/// Writes ONNX files; equal models give equal bytes.
///
/// Tensors are written as they are stored, in the file itself: no external data. A protobuf message
/// cannot have 2 GB, so neither can the file.
package enum ONNXWriter {
  /// Writes `path` anew: complete and synced, or not at all.
  ///
  /// - Throws: ``CheckpointError`` of kind ``CheckpointError/Kind/tooLarge`` above 2 GB, or when a
  ///   tensor's own file can no longer be read; `FileError` when writing fails.
  package static func write(_ path: FilePath, _ model: ONNXModel) throws {
    let message = message(model)
    guard message.byteCount < 1 << 31 else {
      throw CheckpointError(
        path, .tooLarge, "an ONNX file of \(message.byteCount) bytes cannot be, the limit is 2 GB",
        nextStep: "Write safetensors.")
    }
    try AtomicFile.write(path) { file in
      for piece in message.pieces {
        switch piece {
        case .bytes(let bytes): try file.append(bytes)
        case .elements(let tensor): try tensor.withBytes { try file.append($0) }
        }
      }
    }
  }

  /// The bytes of the file.
  ///
  /// - Throws: ``CheckpointError`` when a tensor's own file can no longer be read.
  package static func bytes(_ model: ONNXModel) throws -> [UInt8] {
    var result: [UInt8] = []
    for piece in message(model).pieces {
      switch piece {
      case .bytes(let bytes): result += bytes
      case .elements(let tensor): try tensor.withBytes { result += $0 }
      }
    }
    return result
  }

  private static func message(_ model: ONNXModel) -> ProtobufMessage {
    var message = ProtobufMessage()
    message.append(ONNXField.Model.irVersion, integer: model.irVersion)
    message.append(ONNXField.Model.producerName, text: model.producer.name)
    message.append(ONNXField.Model.producerVersion, text: model.producer.version)
    message.append(ONNXField.Model.graph, message: graph(model.graph))
    for (domain, version) in model.operationSets.sorted(by: { $0.key < $1.key }) {
      var entry = ProtobufMessage()
      entry.append(ONNXField.OperationSet.domain, text: domain)
      entry.append(ONNXField.OperationSet.version, integer: version)
      message.append(ONNXField.Model.operationSet, message: entry)
    }
    for (key, value) in model.metadata.sorted(by: { $0.key < $1.key }) {
      var entry = ProtobufMessage()
      entry.append(ONNXField.Entry.key, text: key)
      entry.append(ONNXField.Entry.value, text: value)
      message.append(ONNXField.Model.metadata, message: entry)
    }
    return message
  }

  private static func graph(_ graph: ONNXGraph) -> ProtobufMessage {
    var message = ProtobufMessage()
    for one in graph.nodes { message.append(ONNXField.Graph.node, message: node(one)) }
    message.append(ONNXField.Graph.name, text: graph.name)
    for one in graph.initializers {
      message.append(ONNXField.Graph.initializer, message: tensor(one, named: true))
    }
    for (name, texts) in graph.texts.sorted(by: { $0.key < $1.key }) {
      message.append(ONNXField.Graph.initializer, message: tensor(name, texts))
    }
    for one in graph.inputs { message.append(ONNXField.Graph.input, message: value(one)) }
    for one in graph.outputs { message.append(ONNXField.Graph.output, message: value(one)) }
    return message
  }

  private static func node(_ node: ONNXNode) -> ProtobufMessage {
    var message = ProtobufMessage()
    for name in node.inputs { message.append(ONNXField.Node.input, text: name) }
    for name in node.outputs { message.append(ONNXField.Node.output, text: name) }
    message.append(ONNXField.Node.name, text: node.name)
    message.append(ONNXField.Node.operation, text: node.operation)
    for (name, one) in node.attributes.sorted(by: { $0.key < $1.key }) {
      // A kind that is not read is not written either.
      if case .other = one { continue }
      message.append(ONNXField.Node.attribute, message: attribute(name, one))
    }
    if !node.domain.isEmpty { message.append(ONNXField.Node.domain, text: node.domain) }
    return message
  }

  private static func attribute(_ name: String, _ attribute: ONNXAttribute) -> ProtobufMessage {
    typealias Field = ONNXField.Attribute
    var message = ProtobufMessage()
    message.append(Field.name, text: name)
    switch attribute {
    case .float(let number): message.append(Field.float, float: number)
    case .integer(let number): message.append(Field.integer, integer: number)
    case .text(let text): message.append(Field.text, text: text)
    case .tensor(let one): message.append(Field.tensor, message: tensor(one, named: false))
    case .floats(let numbers):
      for number in numbers { message.append(Field.floats, float: number) }
    case .integers(let numbers):
      for number in numbers { message.append(Field.integers, integer: number) }
    case .texts(let texts): for text in texts { message.append(Field.texts, text: text) }
    case .other: break
    }
    message.append(Field.type, integer: attribute.typeCode)
    return message
  }

  private static func tensor(_ tensor: StoredTensor, named isNamed: Bool) -> ProtobufMessage {
    var message = ProtobufMessage()
    for extent in tensor.shape.extents {
      message.append(ONNXField.Tensor.dimensions, integer: extent)
    }
    message.append(ONNXField.Tensor.type, integer: tensor.elementType.onnxCode)
    if isNamed { message.append(ONNXField.Tensor.name, text: tensor.name) }
    message.append(ONNXField.Tensor.raw, elements: tensor)
    return message
  }

  private static func tensor(_ name: String, _ texts: [String]) -> ProtobufMessage {
    var message = ProtobufMessage()
    message.append(ONNXField.Tensor.dimensions, integer: texts.count)
    // Texts.
    message.append(ONNXField.Tensor.type, integer: 8)
    for text in texts { message.append(ONNXField.Tensor.texts, text: text) }
    message.append(ONNXField.Tensor.name, text: name)
    return message
  }

  private static func value(_ value: ONNXValue) -> ProtobufMessage {
    var message = ProtobufMessage()
    message.append(ONNXField.Value.name, text: value.name)
    guard let elementType = value.elementType else { return message }
    var tensor = ProtobufMessage()
    tensor.append(ONNXField.TensorType.element, integer: elementType.onnxCode)
    if let dimensions = value.dimensions {
      var shape = ProtobufMessage()
      for dimension in dimensions {
        var entry = ProtobufMessage()
        switch dimension {
        case .size(let size): entry.append(ONNXField.Dimension.size, integer: size)
        case .named(let name): entry.append(ONNXField.Dimension.name, text: name)
        case .unknown: break
        }
        shape.append(ONNXField.TensorShape.dimension, message: entry)
      }
      tensor.append(ONNXField.TensorType.shape, message: shape)
    }
    var type = ProtobufMessage()
    type.append(ONNXField.ValueType.tensor, message: tensor)
    message.append(ONNXField.Value.type, message: type)
    return message
  }
}

extension ONNXAttribute {
  /// ONNX's number for the kind (`AttributeProto.AttributeType`).
  fileprivate var typeCode: Int {
    switch self {
    case .float: 1
    case .integer: 2
    case .text: 3
    case .tensor: 4
    case .floats: 6
    case .integers: 7
    case .texts: 8
    case .other: 0
    }
  }
}
