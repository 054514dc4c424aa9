// SPDX-License-Identifier: Apache-2.0

import SystemPackage
import ThawCheckpoints
import ThawFiles
import ThawNetwork
import ThawTensors

/// Translates an ONNX graph into a network, node by node.
///
/// A value of the ONNX graph is an image of the network, a constant, or extents (what `Shape` gives
/// and exporters compute with until a `Reshape` takes it). How an image's dimensions are ordered in
/// the file is remembered with it, so a `Transpose` computes nothing: the network is channels-first.
struct ONNXImporter {
  /// How the dimensions of an image are ordered in the file.
  enum Layout {
    /// [N, C, H, W]
    case channelsFirst
    /// [N, H, W, C]
    case channelsLast
    /// [N, F]
    case row
    /// [N, F], flattened from [N, H, W, C]: dense weights must be reordered.
    case rowOfChannelsLast(Shape)
    /// [C, N, H, W], in which exporters pick channels.
    case channelsOutermost
  }

  /// A value that the network computes.
  struct Image {
    var layer: Int
    var layout: Layout
    /// Zeros around it that the file adds by an operation of its own, to be part of the next window.
    var padding: EdgeInsets?
    /// Whether its numbers are integers in the file, so that arithmetic with them rounds or wraps.
    var isInteger = false
  }

  /// One extent: the batch, or a number.
  enum Extent: Hashable {
    case batch
    case size(Int)
  }

  enum Value {
    case image(Image)
    /// The softmax of an image.
    case probabilities(Image)
    case constant(StoredTensor)
    case extents([Extent])
    /// Which class it is: a label or its number, computed of an image.
    case labels(Image)
    /// A constant of texts.
    case texts([String])
    /// A sequence of tokens, or an image in other dimensions.
    case view(SequenceView)
    /// Patches that are about to become a sequence.
    case patches(Patches)
    /// Products of queries and keys.
    case scores(Scores)
    /// All numbers of an image, one after the other as the file has them.
    case row(Image)
    /// Places in such a row.
    case places(Places)
    /// Queries or keys that are about to be turned by positions.
    case turning(Turning)
    /// Norms of an image's channels, and what is made of them.
    case response(Response)
  }

  let model: ONNXModel
  let file: FilePath
  /// Whether arithmetic with the photo's samples stays apart from the network; see ``pixels``.
  let separatesArithmetic: Bool
  /// What the graph computes with the samples before its first layer, when that stays apart.
  var pixels = PixelArithmetic()
  /// Class names in the file: what labels are looked up in.
  var classNames: [String]?
  let version: Int
  /// The size of the input image, where the file does not say it the caller's.
  let size: Extent2D
  /// What the file says.
  let fixedSize: Extent2D?
  /// The batch when the file fixes it.
  let fixedBatch: Int?
  var draft: GraphDraft
  var values: [String: Value] = [:]
  /// How often a value is used.
  var users: [String: Int] = [:]
  /// The values that a layer's result goes by.
  var names: [Int: [String]] = [:]
  var floats: [String: Tensor<Float>] = [:]
  /// What the graph makes of its logits; nil when it ends with them.
  var activation: OutputActivation?
  private let inputName: String
  private let inputType: ElementType?
  private let inputLayout: Layout

  init(
    _ model: ONNXModel, file: FilePath, size: Int, separatesArithmetic: Bool = false
  ) throws {
    self.model = model
    self.separatesArithmetic = separatesArithmetic
    self.file = file
    version = model.operationSets[""] ?? 0
    let constants = Set(model.graph.initializers.map(\.name) + model.graph.texts.keys)
    let inputs = model.graph.inputs.filter { !constants.contains($0.name) }
    guard let input = inputs.first, inputs.count == 1 else {
      throw GraphError.notImportable(
        file: file.displayed,
        reason: "an image classifier has one input, this graph has \(inputs.count)")
    }
    guard let extents = input.dimensions, extents.count == 4 else {
      throw GraphError.notImportable(
        file: file.displayed, reason: "the input is no image: four dimensions are expected")
    }
    inputName = input.name
    inputType = input.elementType
    func fixed(_ index: Int) -> Int? {
      if case .size(let size) = extents[index] { size } else { nil }
    }
    let isChannelsLast = fixed(3) == 3 && fixed(1) != 3
    inputLayout = isChannelsLast ? .channelsLast : .channelsFirst
    fixedBatch = fixed(0)
    let (rows, columns) = isChannelsLast ? (fixed(1), fixed(2)) : (fixed(2), fixed(3))
    if let rows, let columns {
      fixedSize = Extent2D(height: rows, width: columns)
    } else {
      fixedSize = nil
    }
    self.size = fixedSize ?? Extent2D(size)
    guard let channels = isChannelsLast ? 3 : fixed(1), channels <= 4096,
      self.size.height <= 65_500, self.size.width <= 65_500
    else {
      throw GraphError.notImportable(
        file: file.displayed, reason: "the input image has no, or an impossible, number of channels"
      )
    }
    draft = GraphDraft(channels: channels, size: self.size)
  }

  /// Translates the whole graph.
  mutating func network() throws -> GraphDraft {
    guard (7...25).contains(version) else {
      throw GraphError.notImportable(
        file: file.displayed,
        reason: "operation sets 7 to 25 are understood, the file is of \(version)")
    }
    for tensor in model.graph.initializers { values[tensor.name] = .constant(tensor) }
    for (name, texts) in model.graph.texts { values[name] = .texts(texts) }
    values[inputName] = .image(
      Image(layer: 0, layout: inputLayout, isInteger: inputType?.isFloatingPoint == false))
    var nodes = LayerNormPatterns(try sorted(), model.graph.initializers).rewritten
    names[0] = [inputName]
    if nodes.contains(where: { $0.outputs == [ONNXExporter.normalised] }),
      model.metadata["thaw.format"] != nil
    {
      // Written by Thaw with the preprocessing inside: it is in the contract already.
      nodes.removeAll { $0.name.hasPrefix(ONNXExporter.preprocessingPrefix) }
      values[ONNXExporter.normalised] = .image(Image(layer: 0, layout: .channelsFirst))
      names[0] = [ONNXExporter.normalised]
    }
    // Who asks for the shape of a value sees none of its numbers.
    for node in nodes where node.operation != "Shape" {
      for name in node.inputs where !name.isEmpty { users[name, default: 0] += 1 }
    }
    for output in model.graph.outputs { users[output.name, default: 0] += 1 }
    let patterns = GELUPatterns(nodes, model.graph.initializers)
    for (index, node) in nodes.enumerated() where !patterns.inner.contains(index) {
      if let name = patterns.inputs[index] {
        try activate(node, patterns.functions[index] ?? .gelu, on: name)
      } else {
        try translate(node)
      }
    }
    try finish()
    try checkSize()
    return draft
  }

  /// An activation that the file spells out in several nodes, of which `node` is the last.
  private mutating func activate(
    _ node: ONNXNode, _ function: Activation, on name: String
  ) throws {
    let single = ONNXNode(node.operation, name: node.name, inputs: [name], outputs: node.outputs)
    switch values[name] {
    case .view?, .patches?: try activateTokens(single, function)
    case .image(let image)? where image.padding == nil:
      try set(node, .activation(function), [image])
    default: throw failure(node, "its input is not computed from the image")
    }
  }

  /// Refuses a file that repeats its tensors beyond measure.
  private func checkSize() throws {
    let stored = model.graph.initializers.reduce(0) { $0 + $1.shape.count }
    let used = draft.layers.reduce(0) { $0 + $1.tensors.values.reduce(0) { $0 + $1.count } }
    guard used <= 4 * stored + 1_000_000 else {
      throw GraphError.notImportable(
        file: file.displayed, reason: "\(used) parameters from \(stored) stored numbers")
    }
  }
}
