// SPDX-License-Identifier: Apache-2.0

import Checkpoints
import Files
import Network
import SystemPackage
import Tensors

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
  }

  /// A value that the network computes.
  struct Image {
    var layer: Int
    var layout: Layout
    /// Zeros around it that the file adds by an operation of its own, to be part of the next window.
    var padding: EdgeInsets?
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
  }

  let model: ONNXModel
  let file: FilePath
  let version: Int
  /// The size of the input image, where the file does not say it the caller's.
  let size: Extent2D
  /// What the file says.
  let fixedSize: Extent2D?
  /// The batch when the file fixes it.
  let fixedBatch: Int?
  var draft: ONNXDraft
  var values: [String: Value] = [:]
  /// How often a value is used.
  var users: [String: Int] = [:]
  /// The values that a layer's result goes by.
  private(set) var names: [Int: [String]] = [:]
  var floats: [String: Tensor<Float>] = [:]
  private let inputName: String
  private let inputLayout: Layout

  init(_ model: ONNXModel, file: FilePath, size: Int) throws {
    self.model = model
    self.file = file
    version = model.operationSets[""] ?? 0
    let constants = Set(model.graph.initializers.map(\.name))
    let inputs = model.graph.inputs.filter { !constants.contains($0.name) }
    guard let input = inputs.first, inputs.count == 1 else {
      throw BackboneError.notImportable(
        file: file.displayed,
        reason: "an image classifier has one input, this graph has \(inputs.count)")
    }
    guard let extents = input.dimensions, extents.count == 4 else {
      throw BackboneError.notImportable(
        file: file.displayed, reason: "the input is no image: four dimensions are expected")
    }
    inputName = input.name
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
      throw BackboneError.notImportable(
        file: file.displayed, reason: "the input image has no, or an impossible, number of channels"
      )
    }
    draft = ONNXDraft(channels: channels, size: self.size)
  }

  /// Translates the whole graph.
  mutating func network() throws -> ONNXDraft {
    guard (7...25).contains(version) else {
      throw BackboneError.notImportable(
        file: file.displayed,
        reason: "operation sets 7 to 25 are understood, the file is of \(version)")
    }
    for tensor in model.graph.initializers { values[tensor.name] = .constant(tensor) }
    values[inputName] = .image(Image(layer: 0, layout: inputLayout))
    var nodes = try sorted()
    if nodes.contains(where: { $0.outputs == [ONNXExporter.normalised] }),
      model.metadata["thaw.format"] != nil
    {
      // Written by Thaw with the preprocessing inside: it is in the contract already.
      nodes.removeAll { $0.name.hasPrefix(ONNXExporter.preprocessingPrefix) }
      values[ONNXExporter.normalised] = .image(Image(layer: 0, layout: .channelsFirst))
    }
    for node in nodes {
      for name in node.inputs where !name.isEmpty { users[name, default: 0] += 1 }
    }
    for output in model.graph.outputs { users[output.name, default: 0] += 1 }
    let patterns = GELUPatterns(nodes, model.graph.initializers)
    for (index, node) in nodes.enumerated() where !patterns.inner.contains(index) {
      if let name = patterns.inputs[index] {
        guard case .image(let image)? = values[name], image.padding == nil else {
          throw failure(node, "its input is not computed from the image")
        }
        try set(node, .activation(.gelu), [image])
      } else {
        try translate(node)
      }
    }
    try finish()
    return draft
  }

  /// The nodes so that each comes after those it needs; files should be in such an order already.
  private func sorted() throws -> [ONNXNode] {
    let nodes = model.graph.nodes
    var producers: [String: Int] = [:]
    for (index, node) in nodes.enumerated() {
      for name in node.outputs where !name.isEmpty {
        guard values[name] == nil, producers.updateValue(index, forKey: name) == nil else {
          throw failure(node, "its result '\(Printable(name))' is the name of another value")
        }
      }
    }
    var waiting = [Int](repeating: 0, count: nodes.count)
    var users = [[Int]](repeating: [], count: nodes.count)
    for (index, node) in nodes.enumerated() {
      for name in node.inputs where !name.isEmpty {
        if let producer = producers[name] {
          users[producer].append(index)
          waiting[index] += 1
        } else if values[name] == nil {
          throw failure(node, "nothing makes its input '\(Printable(name))'")
        }
      }
    }
    var ready = nodes.indices.filter { waiting[$0] == 0 }
    var order: [Int] = []
    var position = 0
    while position < ready.count {
      let index = ready[position]
      position += 1
      order.append(index)
      for user in users[index] {
        waiting[user] -= 1
        if waiting[user] == 0 { ready.append(user) }
      }
    }
    guard order.count == nodes.count else {
      let stuck = nodes.indices.first { waiting[$0] > 0 } ?? 0
      throw failure(nodes[stuck], "it needs its own result: the graph has a cycle")
    }
    // The file's own order keeps what belongs together beside each other.
    let isSorted = nodes.enumerated().allSatisfy { index, node in
      node.inputs.allSatisfy { (producers[$0] ?? -1) < index }
    }
    return isSorted ? nodes : order.map { nodes[$0] }
  }

  /// Picks the logits among the outputs and takes the softmax off them.
  private mutating func finish() throws {
    var candidates: [Image] = []
    for output in model.graph.outputs {
      switch values[output.name] {
      case .probabilities(let image): candidates.insert(image, at: 0)
      case .image(let image): candidates.append(image)
      default: continue
      }
    }
    guard var image = candidates.first, image.padding == nil else {
      throw BackboneError.notImportable(
        file: file.displayed, reason: "no output of the graph depends on the image")
    }
    if draft[image.layer].shape.rank == 4 { image = try flattened(image, "flatten") }
    if case .activation(.sigmoid) = draft[image.layer].operation {
      throw BackboneError.notImportable(
        file: file.displayed,
        reason: "the result is a sigmoid; classifiers here choose one class by softmax")
    }
    draft.output = image.layer
    draft.prune()
    let stored = model.graph.initializers.reduce(0) { $0 + $1.shape.count }
    let used = draft.layers.reduce(0) { $0 + $1.tensors.values.reduce(0) { $0 + $1.count } }
    guard used <= 4 * stored + 1_000_000 else {
      throw BackboneError.notImportable(
        file: file.displayed, reason: "\(used) parameters from \(stored) stored numbers")
    }
  }

  // MARK: Parts for the translations

  /// An error about a node.
  func failure(_ node: ONNXNode, _ reason: String) -> BackboneError {
    .notImportable(file: file.displayed, reason: "\(node.displayed): \(reason)")
  }

  /// Name of the layer that `node` becomes: that of its weight without the last part, or its own.
  func layerName(_ node: ONNXNode, weight: String? = nil) -> String {
    if let weight, weight.hasSuffix(".weight"), weight.count > 7 {
      return Self.sanitized(weight.dropLast(7))
    }
    // PyTorch's exporter writes /layer1/layer1.0/conv1/Conv.
    let parts = node.name.split(separator: "/")
    let own =
      parts.count > 1 && parts.last.map(String.init) == node.operation
      ? parts.dropLast() : parts[...]
    let name = Self.sanitized(own.joined(separator: "."))
    return name.isEmpty ? node.operation.lowercased() + "_\(draft.layers.count)" : name
  }

  private static func sanitized(_ name: some StringProtocol) -> String {
    String(
      name.unicodeScalars.prefix(200).map { scalar in
        scalar.isASCII
          && (scalar.properties.isAlphabetic || ("0"..."9").contains(scalar)
            || ["_", ".", "-"].contains(scalar))
          ? Character(scalar) : "_"
      }
    ).trimmingPrefixDots
  }

  /// The image that is input `index` of `node`.
  func image(_ node: ONNXNode, _ index: Int = 0, paddingAllowed: Bool = false) throws -> Image {
    guard index < node.inputs.count, case .image(let image)? = values[node.inputs[index]] else {
      throw failure(node, "its input \(index + 1) is not computed from the image")
    }
    guard paddingAllowed || image.padding == nil else {
      throw failure(node, "padding can go into a convolution or a pooling only")
    }
    return image
  }

  /// The constant that is input `index` of `node`, nil when that is left out.
  func constant(_ node: ONNXNode, _ index: Int) throws -> StoredTensor? {
    guard index < node.inputs.count, !node.inputs[index].isEmpty else { return nil }
    guard case .constant(let tensor)? = values[node.inputs[index]] else {
      throw failure(node, "its input \(index + 1) is not a constant")
    }
    return tensor
  }

  /// The numbers of a constant; read once.
  mutating func numbers(_ tensor: StoredTensor) throws -> Tensor<Float> {
    if let known = floats[tensor.name], known.shape == tensor.shape { return known }
    guard tensor.elementType.isFloat else {
      throw BackboneError.notImportable(
        file: file.displayed,
        reason: "tensor '\(Printable(tensor.name))' is of type \(tensor.elementType.rawValue),"
          + " floating-point numbers are expected")
    }
    let result = try tensor.floats()
    if !tensor.name.isEmpty { floats[tensor.name] = result }
    return result
  }

  /// Small integers of input `index`, or of the attribute of older operation sets.
  func integers(_ node: ONNXNode, _ index: Int, attribute: String) throws -> [Int]? {
    if let tensor = try constant(node, index) { return try integers(tensor, node) }
    return node.integers(attribute)
  }

  func integers(_ tensor: StoredTensor, _ node: ONNXNode) throws -> [Int] {
    guard tensor.shape.count <= 64, let numbers = try tensor.smallIntegers() else {
      throw failure(node, "a short list of integers is expected")
    }
    return numbers
  }

  /// Sets the value of the node's first result.
  mutating func set(_ node: ONNXNode, _ value: Value) {
    guard let name = node.outputs.first else { return }
    values[name] = value
    if case .image(let image) = value { names[image.layer, default: []].append(name) }
  }

  /// Adds a layer that keeps the order of the dimensions.
  mutating func set(
    _ node: ONNXNode, _ operation: Operation, _ inputs: [Image],
    _ tensors: [String: Tensor<Float>] = [:], weight: String? = nil
  ) throws {
    let layer = try draft.add(
      layerName(node, weight: weight), operation, inputs.map(\.layer), tensors)
    set(node, .image(Image(layer: layer, layout: inputs[0].layout)))
  }
}

/// A text from a file for a message: printable, short.
struct Printable: CustomStringConvertible {
  let description: String

  init(_ text: String) {
    description = String(
      text.unicodeScalars.prefix(80).map {
        $0.value < 0x20 || $0.value == 0x7F ? "?" : Character($0)
      })
  }
}

extension String {
  fileprivate var trimmingPrefixDots: String {
    var rest = Substring(self)
    while rest.first == "." { rest = rest.dropFirst() }
    while rest.last == "." { rest = rest.dropLast() }
    return String(rest)
  }
}

extension ElementType {
  fileprivate var isFloat: Bool {
    switch self {
    case .float64, .float32, .float16, .bfloat16: true
    default: false
    }
  }
}

extension StoredTensor {
  /// The elements as integers; nil unless they are 32- or 64-bit integers.
  func smallIntegers() throws -> [Int]? {
    guard elementType == .int64 || elementType == .int32 else { return nil }
    return try withBytes { bytes in
      (0..<shape.count).map { index in
        elementType == .int64
          ? Int(bytes.loadUnaligned(fromByteOffset: 8 * index, as: Int64.self))
          : Int(bytes.loadUnaligned(fromByteOffset: 4 * index, as: Int32.self))
      }
    }
  }
}

extension ONNXNode {
  /// An attribute that is a list of integers.
  func integers(_ name: String) -> [Int]? {
    if case .integers(let list)? = attributes[name] { list } else { nil }
  }
  /// An attribute that is an integer.
  func integer(_ name: String) -> Int? {
    if case .integer(let number)? = attributes[name] { number } else { nil }
  }
  /// An attribute that is a number.
  func float(_ name: String) -> Float? {
    if case .float(let number)? = attributes[name] { number } else { nil }
  }
  /// An attribute that is a text.
  func text(_ name: String) -> String? {
    if case .text(let text)? = attributes[name] { text } else { nil }
  }
}
