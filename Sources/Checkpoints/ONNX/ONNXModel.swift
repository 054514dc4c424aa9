// SPDX-License-Identifier: Apache-2.0

import ThawArchives

/// An ONNX file as plain values: a graph of operations and its constant tensors.
///
/// Only what describes an inference graph is kept. What an operation means is not known here; see the
/// translation from and to a network's graph in `Backbones`.
///
/// - Source: onnx/onnx, `onnx.proto` (message `ModelProto`) and docs/IR.md.
package struct ONNXModel: Sendable {
  /// Version of the file layout; 8 belongs to operation set 17.
  package var irVersion: Int
  /// Version of the operation set by domain; the empty name is ONNX's own.
  package var operationSets: [String: Int]
  /// The program that wrote it, and its version.
  package var producer: (name: String, version: String)
  /// Texts by name.
  package var metadata: [String: String]
  /// What is computed.
  package var graph: ONNXGraph

  /// Collects the fields; the defaults are what is written.
  package init(
    irVersion: Int = 8, operationSets: [String: Int] = ["": 17],
    producer: (name: String, version: String) = ("", ""), metadata: [String: String] = [:],
    graph: ONNXGraph
  ) {
    self.irVersion = irVersion
    self.operationSets = operationSets
    self.producer = producer
    self.metadata = metadata
    self.graph = graph
  }
}

/// The operations of an ``ONNXModel``, its constants, and what goes in and comes out.
package struct ONNXGraph: Sendable {
  /// A name for people.
  package var name: String
  /// Operations; the standard wants every value made before it is used, files may disobey.
  package var nodes: [ONNXNode]
  /// Constant tensors by their names, which are unique.
  package var initializers: [StoredTensor]
  /// Constant lists of texts, class labels, by their names.
  package var texts: [String: [String]] = [:]
  /// Values that the caller gives. Old files list the initializers here again.
  package var inputs: [ONNXValue]
  /// Values that the caller gets.
  package var outputs: [ONNXValue]

  /// Collects the fields.
  package init(
    name: String, nodes: [ONNXNode], initializers: [StoredTensor], inputs: [ONNXValue],
    outputs: [ONNXValue]
  ) {
    self.name = name
    self.nodes = nodes
    self.initializers = initializers
    self.inputs = inputs
    self.outputs = outputs
  }
}

/// One operation: what it does, with what, and how its results are called.
package struct ONNXNode: Sendable {
  /// A name for people, often empty.
  package var name: String
  /// For example `Conv`.
  package var operation: String
  /// Whose operation it is; empty for ONNX's own.
  package var domain: String
  /// Names of the values it takes; an empty one stands for an optional input that is left out.
  package var inputs: [String]
  /// Names of the values it makes.
  package var outputs: [String]
  /// Settings by name.
  package var attributes: [String: ONNXAttribute]

  /// Collects the fields.
  package init(
    _ operation: String, name: String = "", domain: String = "", inputs: [String],
    outputs: [String], attributes: [String: ONNXAttribute] = [:]
  ) {
    self.operation = operation
    self.name = name
    self.domain = domain
    self.inputs = inputs
    self.outputs = outputs
    self.attributes = attributes
  }

  /// How messages name it: `node 'conv1' (Conv)`, or by its result when it has no name.
  package var displayed: String {
    let label = name.isEmpty ? outputs.first ?? "" : name
    return "node \(quoted(label)) (\(domain.isEmpty ? "" : quoted(domain) + " ")\(printed))"
  }

  private var printed: String {
    let text = quoted(operation)
    return String(text.dropFirst().dropLast())
  }
}

/// A setting of an ``ONNXNode``.
package enum ONNXAttribute: Sendable {
  /// One Float32.
  case float(Float)
  case integer(Int)
  case text(String)
  /// A constant.
  case tensor(StoredTensor)
  /// A list of Float32.
  case floats([Float])
  /// A list of integers.
  case integers([Int])
  /// A list of texts.
  case texts([String])
  /// A kind that no network here needs: a sub-graph, a sparse tensor.
  case other(String)
}

/// A value that enters or leaves a graph.
package struct ONNXValue: Sendable {
  package var name: String
  /// Nil when it is no tensor, or of a type that is not read.
  package var elementType: ElementType?
  /// Extents, nil when the file does not say even how many.
  package var dimensions: [ONNXDimension]?

  /// Describes a tensor.
  package init(_ name: String, _ elementType: ElementType?, _ dimensions: [ONNXDimension]?) {
    self.name = name
    self.elementType = elementType
    self.dimensions = dimensions
  }
}

/// One extent of an ``ONNXValue``.
package enum ONNXDimension: Sendable, Hashable {
  /// So many elements.
  case size(Int)
  /// Free, with a name: two of one name are equal.
  case named(String)
  /// Free.
  case unknown
}

extension ElementType {
  /// ONNX's number for the type (`TensorProto.DataType`).
  var onnxCode: Int {
    switch self {
    case .float32: 1
    case .uint8: 2
    case .int8: 3
    case .uint16: 4
    case .int16: 5
    case .int32: 6
    case .int64: 7
    case .bool: 9
    case .float16: 10
    case .float64: 11
    case .uint32: 12
    case .uint64: 13
    case .bfloat16: 16
    }
  }

  /// Nil for a number that stands for no type of numbers here, such as texts.
  package init?(onnxCode code: Int) {
    guard let type = ElementType.allCases.first(where: { $0.onnxCode == code }) else { return nil }
    self = type
  }
}

/// Numbers of the fields of the messages in `onnx.proto`.
enum ONNXField {
  enum Model {
    static let irVersion = 1, producerName = 2, producerVersion = 3, graph = 7, operationSet = 8
    static let metadata = 14, functions = 25
  }
  enum OperationSet { static let domain = 1, version = 2 }
  enum Entry { static let key = 1, value = 2 }
  enum Graph {
    static let node = 1, name = 2, initializer = 5, input = 11, output = 12, sparse = 15
  }
  enum Node {
    static let input = 1, output = 2, name = 3, operation = 4, attribute = 5, domain = 7
  }
  enum Attribute {
    static let name = 1, float = 2, integer = 3, text = 4, tensor = 5, graph = 6, floats = 7
    static let integers = 8, texts = 9, tensors = 10, graphs = 11, type = 20, reference = 21
  }
  enum Tensor {
    static let dimensions = 1, type = 2, segment = 3, floats = 4, int32s = 5, texts = 6, int64s = 7
    static let name = 8, raw = 9, doubles = 10, uint64s = 11, external = 13, location = 14
  }
  enum Value { static let name = 1, type = 2 }
  enum ValueType { static let tensor = 1 }
  enum TensorType { static let element = 1, shape = 2 }
  enum TensorShape { static let dimension = 1 }
  enum Dimension { static let size = 1, name = 2 }
}
