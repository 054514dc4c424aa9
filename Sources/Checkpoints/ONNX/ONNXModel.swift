// SPDX-License-Identifier: Apache-2.0

/// An ONNX file as plain values: a graph of operations and its constant tensors.
///
/// Only what describes an inference graph is kept. What an operation means is not known here; see the
/// translation from and to a network's graph in `Backbones`.
///
/// - Source: onnx/onnx, `onnx.proto` (message `ModelProto`) and docs/IR.md.
public struct ONNXModel: Sendable {
  /// Version of the file layout; 8 belongs to operation set 17.
  public var irVersion: Int
  /// Version of the operation set by domain; the empty name is ONNX's own.
  public var operationSets: [String: Int]
  /// The program that wrote it, and its version.
  public var producer: (name: String, version: String)
  /// Texts by name.
  public var metadata: [String: String]
  /// What is computed.
  public var graph: ONNXGraph

  /// Collects the fields; the defaults are what is written.
  public init(
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
public struct ONNXGraph: Sendable {
  /// A name for people.
  public var name: String
  /// Operations; the standard wants every value made before it is used, files may disobey.
  public var nodes: [ONNXNode]
  /// Constant tensors by their names, which are unique.
  public var initializers: [StoredTensor]
  /// Values that the caller gives. Old files list the initializers here again.
  public var inputs: [ONNXValue]
  /// Values that the caller gets.
  public var outputs: [ONNXValue]

  /// Collects the fields.
  public init(
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
public struct ONNXNode: Sendable {
  /// A name for people, often empty.
  public var name: String
  /// For example `Conv`.
  public var operation: String
  /// Whose operation it is; empty for ONNX's own.
  public var domain: String
  /// Names of the values it takes; an empty one stands for an optional input that is left out.
  public var inputs: [String]
  /// Names of the values it makes.
  public var outputs: [String]
  /// Settings by name.
  public var attributes: [String: ONNXAttribute]

  /// Collects the fields.
  public init(
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
  public var displayed: String {
    let label = name.isEmpty ? outputs.first ?? "" : name
    return "node \(quoted(label)) (\(domain.isEmpty ? "" : quoted(domain) + " ")\(printed))"
  }

  private var printed: String {
    let text = quoted(operation)
    return String(text.dropFirst().dropLast())
  }
}

/// A setting of an ``ONNXNode``.
public enum ONNXAttribute: Sendable {
  /// One Float32.
  case float(Float)
  /// One integer.
  case integer(Int)
  /// A text.
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
public struct ONNXValue: Sendable {
  /// Its name.
  public var name: String
  /// Nil when it is no tensor, or of a type that is not read.
  public var elementType: ElementType?
  /// Extents, nil when the file does not say even how many.
  public var dimensions: [ONNXDimension]?

  /// Describes a tensor.
  public init(_ name: String, _ elementType: ElementType?, _ dimensions: [ONNXDimension]?) {
    self.name = name
    self.elementType = elementType
    self.dimensions = dimensions
  }
}

/// One extent of an ``ONNXValue``.
public enum ONNXDimension: Sendable, Hashable {
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

  init?(onnxCode code: Int) {
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
