// SPDX-License-Identifier: Apache-2.0

import ThawCheckpoints
import ThawNetwork
import ThawTensors

/// Translates the configuration of a Keras model into a network, layer by layer; nothing of it is run.
///
/// A value is the photo with nothing but arithmetic done to it yet, or an image of the network. Keras
/// has channels last, the network has them first: kernels are turned, and dense layers behind a flattened
/// image get their columns reordered.
struct KerasImporter {
  /// What the network computes.
  struct Image {
    var layer: Int
    /// The image [N, C, H, W] that a row was flattened from, when rows and columns are more than one.
    var grid: Shape?
    /// Zeros that a layer of its own adds around it, to be part of the next window.
    var padding: EdgeInsets?

    init(_ layer: Int, grid: Shape? = nil) {
      self.layer = layer
      self.grid = grid
    }
  }

  enum Value {
    case pixels(Pixels)
    case image(Image)
    /// The softmax of an image.
    case probabilities(Image)
  }

  let checkpoint: Checkpoint
  let weights: KerasWeights
  /// The side of the input image where the file leaves it free.
  let freeSide: Int
  var draft = GraphDraft(channels: 3, size: Extent2D(1))
  /// What the first layer takes; nil before there is one.
  var pixels: Pixels?
  /// What was taken for granted or left out, as sentences.
  var notes: [String] = []
  /// Layers that change photos in training alone.
  var augmentations: [String] = []
  private var calls = 0

  init(_ checkpoint: Checkpoint, _ model: KerasModel, freeSide: Int) {
    self.checkpoint = checkpoint
    self.freeSide = freeSide
    weights = model.weights
  }

  func failure(_ layer: KerasLayerDescription, _ reason: String) -> GraphError {
    failure("\(layer.displayed): \(reason)")
  }

  func failure(_ reason: String) -> GraphError {
    .notImportable(file: checkpoint.path.displayed, reason: reason)
  }

  /// The Keras that wrote the file, 2 or 3; nil when the file does not say it.
  var kerasMajor: Int? {
    checkpoint.metadata["keras.version"]?.split(separator: ".").first.flatMap { Int($0) }
  }

  // MARK: Models

  /// The results of a model, or of one within it, for these inputs.
  mutating func run(
    _ model: KerasLayerDescription, _ inputs: [Value], depth: Int = 0
  ) throws -> [Value] {
    guard depth < 32 else { throw failure(model, "more than 32 models within each other") }
    guard let layers = model.layers else { throw failure(model, "it has no list of layers") }
    // The outermost model's name is no part of its layers' names.
    let outer = depth == 0 ? [] : model.names
    let described = try layers.map {
      guard let layer = KerasLayerDescription($0, in: outer) else {
        throw failure(model, "a layer has no class")
      }
      return layer
    }
    guard !model.isSequential else {
      guard var value = inputs.first, inputs.count == 1 else {
        throw failure(model, "a sequential model takes one input, found \(inputs.count)")
      }
      for layer in described where layer.className != "InputLayer" {
        let results = try apply(layer, KerasOperands([.value(value)]), depth: depth)
        guard results.count == 1 else { throw failure(layer, "it has \(results.count) results") }
        value = results[0]
      }
      return [value]
    }
    return try runGraph(model, described, inputs, depth: depth)
  }

  /// A functional model: what its outputs need is computed, each call once.
  private mutating func runGraph(
    _ model: KerasLayerDescription, _ layers: [KerasLayerDescription], _ inputs: [Value], depth: Int
  ) throws -> [Value] {
    var graph = try KerasCallGraph(model, layers, file: checkpoint.path.displayed)
    guard graph.inputs.count == inputs.count else {
      throw failure(
        model,
        "it takes \(graph.inputs.count) inputs"
          + " (\(graph.inputs.map { "\(Printable($0.layer))" }.joined(separator: ", "))), a photo is one"
      )
    }
    for (reference, value) in zip(graph.inputs, inputs) { graph.set([value], at: reference) }
    var waiting = graph.outputs.map { graph.resolved($0).place }
    var begun: Set<KerasCallGraph.Place> = []
    while let place = waiting.last {
      guard graph[place] == nil else {
        waiting.removeLast()
        continue
      }
      let (layer, call) = try graph.call(at: place)
      let missing = call.references.map { graph.resolved($0).place }.filter { graph[$0] == nil }
      guard missing.isEmpty else {
        guard begun.insert(place).inserted else {
          throw failure(layer, "it needs its own result: the graph has a cycle")
        }
        waiting += missing
        continue
      }
      // Keras 3 overrides it when it predicts, and writes it of every augmentation.
      if call.isTraining, layer.dependsOnTraining, kerasMajor.map({ $0 < 3 }) ?? true {
        throw failure(
          layer,
          "it is called with training=True, so it varies with each batch in inference too."
            + " Call it without, and save the model again")
      }
      graph[place] = try apply(layer, try graph.operands(of: call, layer), depth: depth)
      waiting.removeLast()
    }
    return try graph.outputs.map { try graph.value($0, for: model) }
  }

  /// The results of one layer.
  private mutating func apply(
    _ layer: KerasLayerDescription, _ operands: KerasOperands, depth: Int
  ) throws -> [Value] {
    calls += 1
    guard calls <= 50_000, draft.layers.count <= 50_000 else {
      throw failure(layer, "the network has more than 50000 layers")
    }
    if layer.layers != nil {
      return try run(layer, operands.values, depth: depth + 1)
    }
    return [try result(of: layer, operands)]
  }

  // MARK: Weights

  /// The tensor of a layer's variable under the first of these names.
  func needed(_ layer: KerasLayerDescription, _ names: String...) throws -> StoredTensor {
    let own = weights.variables(of: layer.names)
    for name in names {
      if let found = own[name], let tensor = checkpoint[found] { return tensor }
    }
    throw failure(
      layer,
      "its variable \(names[0]) is not in the file, or cannot be told from another layer's."
        + " Save the whole model again: model.save(\"model.keras\")")
  }

  // MARK: Layers of the draft

  /// The image that goes into a layer; padding only where the layer has a window to put it in.
  mutating func image(
    _ operands: KerasOperands, _ layer: KerasLayerDescription, paddingAllowed: Bool = false
  ) throws -> Image {
    guard let value = operands.values.first, operands.values.count == 1 else {
      throw failure(layer, "it takes one input, found \(operands.values.count)")
    }
    return try image(value, layer, paddingAllowed: paddingAllowed)
  }

  mutating func image(
    _ value: Value, _ layer: KerasLayerDescription, paddingAllowed: Bool = false
  ) throws -> Image {
    switch value {
    case .pixels(let pixels): return try begun(with: pixels, layer)
    case .image(let image):
      guard paddingAllowed || image.padding == nil else {
        throw failure(layer, "the zeros padded before it have no place in it")
      }
      return image
    case .probabilities:
      throw failure(layer, "it goes on from probabilities; a softmax can only be the last layer")
    }
  }

  func shape(_ image: Image) -> Shape { draft[image.layer].shape }

  /// Adds a layer of the network for `layer`; `suffix` tells several of one layer apart.
  mutating func add(
    _ layer: KerasLayerDescription, suffix: String = "", _ operation: Operation,
    _ inputs: [Image], _ tensors: [String: Tensor<Float>] = [:],
    from stored: [String: StoredTensor] = [:]
  ) throws -> Image {
    for (_, tensor) in stored where !tensor.elementType.isFloatingPoint {
      throw failure(
        layer, "\(Printable(tensor.name)) is of type \(tensor.elementType.rawValue)")
    }
    let index = try draft.add(
      KerasImporter.path(layer.name) + suffix, operation, inputs.map(\.layer), tensors)
    draft[index].stored = stored
    return Image(index, grid: inputs.first?.grid)
  }

  /// A layer's name as a path: letters, digits, `_` and `-`.
  private static func path(_ name: String) -> String {
    let text = String(
      name.unicodeScalars.prefix(200).map { scalar in
        scalar.isASCII && (scalar.properties.isAlphabetic || ("0"..."9").contains(scalar))
          || scalar == "_" || scalar == "-" ? Character(scalar) : "_"
      })
    return text.isEmpty ? "layer" : text
  }
}

extension KerasLayerDescription {
  /// Whether a call in training mode computes something else than one in inference.
  fileprivate var dependsOnTraining: Bool {
    layers != nil || className.contains("Normalization") || className.contains("Dropout")
      || className.hasPrefix("Random") || className.hasPrefix("Gaussian")
  }
}
