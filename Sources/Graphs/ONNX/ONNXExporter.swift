// SPDX-License-Identifier: Apache-2.0

package import ThawCheckpoints
package import ThawImages
package import ThawNetwork
import ThawTensors

/// Translates a network into an ONNX graph of operation set 17.
///
/// The batch is free, height and width are fixed: padding that TensorFlow calls "same" is then plain
/// numbers, which every runtime understands. A tensor keeps the name of its parameter, a node that of
/// its layer, so that others can fine-tune the file.
package struct ONNXExporter {
  /// What leaves the graph.
  package enum Results: String, Sendable, CaseIterable {
    /// `probabilities`, then `logits`.
    case both
    /// `probabilities` alone: the softmax or the sigmoids of the logits.
    case probabilities
    /// `logits` alone.
    case logits
  }

  /// What may be chosen.
  package struct Options: Sendable {
    /// Whether the input is `image`, uint8 [N, H, W, 3], R, G, B as stored, already of the network's
    /// size. Otherwise it is `input`, Float32 [N, C, H, W], normalised.
    package var includesPreprocessing = false
    /// Whether a batch norm directly behind a convolution becomes part of it. That is what a runtime
    /// does when it loads the file; kept apart, others can go on training it.
    package var foldsBatchNormalization = false
    /// What leaves the graph.
    package var results = Results.both
    /// What makes the probabilities. Those of a single sigmoid are [N, 1], of the second class.
    package var activation = OutputActivation.softmax
    /// What logits are divided by in front of the softmax; nil for a model that is not calibrated. The
    /// logits that leave the graph are as they were.
    package var temperature: Double?
    /// Whether dense layers over tokens keep their matrices as they are, [outputs, inputs]: not a file for
    /// others, but a structure whose parameters are kept apart.
    package var keepsMatrices = false
    /// The defaults.
    package init() {}
  }

  /// The network as an ONNX model.
  ///
  /// - Parameters:
  ///   - preprocessing: gives the size, and the arithmetic when the options ask for it.
  ///   - metadata: texts that travel in the file; the layer groups are added.
  /// - Throws: `NetworkError` when parameters or sizes do not fit,
  ///   ``GraphError/notExportable(layer:reason:)``.
  package static func model(
    of graph: Graph, _ parameters: Parameters, preprocessing: Preprocessing,
    metadata: [String: String] = [:], options: Options = Options(),
    producer: (name: String, version: String) = ("thaw", "")
  ) throws -> ONNXModel {
    try parameters.validate(for: graph)
    var exporter = try ONNXExporter(graph, parameters, preprocessing, options)
    try exporter.addNodes()
    exporter.addResults()
    var texts = metadata
    texts[LayerGroups.key] = LayerGroups.text(of: graph)
    return ONNXModel(producer: producer, metadata: texts, graph: exporter.finished())
  }

  /// How the division of the logits is called, and its result.
  static let temperature = "calibration.temperature"
  static let scaled = "calibration.logits"
  /// How the nodes of the preprocessing are called, and its result.
  static let preprocessingPrefix = "preprocessing."
  static let normalised = "preprocessing.normalised"

  let graph: Graph
  let parameters: Parameters
  let preprocessing: Preprocessing
  let options: Options
  let shapes: [Shape]
  let consumers: [[NodeID]]
  private var nodes: [ONNXNode] = []
  private var initializers: [StoredTensor] = []
  private var initializerNames: Set<String> = []
  /// Name of every node's result in the file.
  private var values: [String] = []
  private var names: Set<String> = ["input", "image", "logits", "probabilities"]

  private init(
    _ graph: Graph, _ parameters: Parameters, _ preprocessing: Preprocessing, _ options: Options
  ) throws {
    self.graph = graph
    self.parameters = parameters
    self.preprocessing = preprocessing
    self.options = options
    shapes = try graph.shapes(batch: 1, size: Extent2D(preprocessing.inputSize))
    consumers = graph.consumers
    guard shapes[graph.output.id.index].rank == 2 else {
      throw GraphError.notExportable(
        layer: graph.output.path.description, reason: "the network's result is no row of logits")
    }
  }

  private mutating func addNodes() throws {
    for node in graph.nodes {
      if case .input = node.operation {
        values.append(
          rounded(options.includesPreprocessing ? addPreprocessing() : "input", of: node))
      } else {
        let result = try add(node)
        values.append(rounded(result, of: node))
      }
    }
    // The last node may have needed no operation of its own.
    if values.last != "logits" {
      emit("Identity", "logits", [values[values.count - 1]], result: "logits")
    }
  }

  private mutating func addResults() {
    guard options.results != .logits else { return }
    switch options.activation {
    case .softmax:
      var source = "logits"
      if let temperature = options.temperature {
        let divisor = constant(ONNXExporter.temperature, temperature)
        source = emit(
          "Div", ONNXExporter.temperature, [source, divisor], result: ONNXExporter.scaled)
      }
      emit("Softmax", "probabilities", [source], ["axis": .integer(1)], result: "probabilities")
    case .independentSigmoids, .singleSigmoid:
      emit("Sigmoid", "probabilities", ["logits"], result: "probabilities")
    }
  }

  private func finished() -> ONNXGraph {
    let side = ONNXDimension.size(preprocessing.inputSize)
    let channels = ONNXDimension.size(graph.inputChannels)
    let batch = ONNXDimension.named("batch")
    let classes = ONNXDimension.size(shapes[graph.output.id.index][1])
    let input =
      options.includesPreprocessing
      ? ONNXValue("image", .uint8, [batch, side, side, channels])
      : ONNXValue("input", .float32, [batch, channels, side, side])
    let outputs = ["probabilities", "logits"].filter {
      options.results == .both || options.results.rawValue == $0
    }
    return ONNXGraph(
      name: graph.name, nodes: nodes, initializers: initializers, inputs: [input],
      outputs: outputs.map { ONNXValue($0, .float32, [batch, classes]) })
  }

  // MARK: Parts for the operations

  /// The name of the result of the node at `id`.
  func value(_ id: NodeID) -> String { values[id.index] }

  /// The name that the result of `node` gets.
  mutating func resultName(of node: Node) -> String {
    node.id == graph.output.id ? "logits" : unused(node.path.description)
  }

  /// `name`, with underscores until nothing has it.
  private mutating func unused(_ name: String) -> String {
    var result = name
    while !names.insert(result).inserted { result += "_" }
    return result
  }

  /// Adds an operation and returns the name of its result.
  @discardableResult
  mutating func emit(
    _ operation: String, _ name: String, _ inputs: [String],
    _ attributes: [String: ONNXAttribute] = [:], result: String? = nil
  ) -> String {
    let output = result ?? unused(name)
    nodes.append(
      ONNXNode(
        operation, name: name, inputs: inputs, outputs: [output], attributes: attributes))
    return output
  }

  /// Adds a tensor unless one of its name is there, and returns the name.
  mutating func constant(_ name: String, _ tensor: Tensor<Float>) -> String {
    if initializerNames.insert(name).inserted { initializers.append(StoredTensor(name, tensor)) }
    return name
  }

  /// Adds a number.
  mutating func constant(_ name: String, _ number: Double) -> String {
    constant(name, Tensor([Float(number)], shape: []))
  }

  /// Adds numbers of any type by their bytes.
  mutating func constant(
    _ name: String, _ elementType: ElementType, _ shape: Shape, bytes: [UInt8]
  ) -> String {
    if initializerNames.insert(name).inserted {
      initializers.append(StoredTensor(name, elementType, shape, bytes: bytes))
    }
    return name
  }

  /// Adds 64-bit integers.
  mutating func constant(_ name: String, integers: [Int]) -> String {
    if initializerNames.insert(name).inserted {
      let bytes = integers.flatMap { number in
        (0..<8).map { UInt8(truncatingIfNeeded: number >> (8 * $0)) }
      }
      initializers.append(StoredTensor(name, .int64, [integers.count], bytes: bytes))
    }
    return name
  }

  /// Adds one 64-bit integer without extents.
  mutating func constant(_ name: String, integer: Int) -> String {
    if initializerNames.insert(name).inserted {
      let bytes = (0..<8).map { UInt8(truncatingIfNeeded: integer >> (8 * $0)) }
      initializers.append(StoredTensor(name, .int64, [], bytes: bytes))
    }
    return name
  }

  /// Adds a parameter of `node`, perhaps under another shape, and returns its name.
  mutating func parameter(_ node: Node, _ leaf: String, shape: Shape? = nil) throws -> String {
    let path = node.path.appending(leaf)
    var tensor = try parameters.tensor(path)
    if let shape, shape != tensor.shape { tensor = Tensor(tensor.elements, shape: shape) }
    return constant(path.description, tensor)
  }
}
