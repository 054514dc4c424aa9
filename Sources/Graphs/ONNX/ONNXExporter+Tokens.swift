// SPDX-License-Identifier: Apache-2.0

import Glibc
import ThawCheckpoints
import ThawNetwork
import ThawTensors

/// Sequences of tokens, which travel as [N, T, C] in a file: what every runtime's layer norm and matrix
/// product want, where [N, C, 1, T] would need a transposition around each.
extension ONNXExporter {
  /// Whether the result of the node at `id` is a sequence in the file.
  private func isSequence(_ id: NodeID) -> Bool {
    let node = graph[id]
    switch node.operation {
    case .tokens, .attention, .attentionPooling, .selectTokens: return true
    case .layerNormalization, .channelScale, .activation, .add, .multiply, .dropout,
      .stochasticDepth:
      return shapes[id.index].rank == 4 && node.inputs.allSatisfy(isSequence)
    case .convolution(let layer): return layer.storesMatrix && isSequence(node.inputs[0])
    default: return false
    }
  }

  /// The result of the node at `id` as [N, C, H, W], or a row of features.
  mutating func image(of id: NodeID) -> String {
    guard isSequence(id) else { return value(id) }
    let name = graph[id].path.description
    let turned = emit(
      "Transpose", "\(name).channels", [value(id)], ["perm": .integers([0, 2, 1])])
    return emit("Unsqueeze", "\(name).image", [turned, constant("constant.axis2", integers: [2])])
  }

  /// Adds what `node` computes of a sequence; nil where it computes of an image.
  mutating func addToSequence(_ node: Node) throws -> String? {
    if case .tokens(let layer) = node.operation { return try addTokens(node, layer) }
    guard let first = node.inputs.first, node.inputs.allSatisfy(isSequence) else { return nil }
    let inputs = node.inputs.map(value)
    switch node.operation {
    case .attention(let layer): return try addAttention(node, layer, inputs[0])
    case .attentionPooling(let layer): return try addPooling(node, layer, inputs[0])
    case .selectTokens(let selection): return addSelection(node, selection, inputs[0])
    case .layerNormalization(let layer):
      return emit(
        "LayerNormalization", node,
        inputs + [try parameter(node, "weight"), try parameter(node, "bias")],
        ["axis": .integer(-1), "epsilon": .float(Float(layer.epsilon))])
    case .convolution(let layer) where layer.storesMatrix:
      return try addLinear(node, layer, inputs[0])
    case .channelScale(let layer):
      if let number = layer.constant {
        return emit("Mul", node, inputs + [constant("\(node.path).constant", number)])
      }
      return emit(
        "Mul", node, inputs + [try parameter(node, layer.name, shape: [layer.channels])])
    case .activation(let function): return addActivation(node, function, inputs[0])
    case .add: return emit("Add", node, inputs)
    case .multiply: return emit("Mul", node, inputs)
    case .stochasticDepth: return inputs[0]
    case .dropout(let probability):
      let ratio = constant("\(node.path).ratio", probability)
      return emit("Dropout", node, inputs + [ratio])
    case .globalAveragePooling:
      let mean = step(
        "ReduceMean", node, "mean", inputs, ["axes": .integers([1]), "keepdims": .integer(0)])
      return emit(
        "Unsqueeze", node, [mean, constant("constant.axes2and3", integers: [2, 3])])
    case .flatten where shapes[first.index][3] == 1:
      return emit("Flatten", node, inputs, ["axis": .integer(1)])
    default: return nil
    }
  }

  /// A dense layer over every token. The weight is stored as [inputs, outputs], as a product wants it.
  private mutating func addLinear(
    _ node: Node, _ layer: Convolution2D, _ input: String
  ) throws -> String {
    if options.keepsMatrices {
      let bias = layer.hasBias ? [try parameter(node, "bias")] : []
      return emit(
        "Gemm", node, [input, try parameter(node, "weight")] + bias, ["transB": .integer(1)])
    }
    let weight = try parameters.tensor(node.path.appending("weight")).transposed
    let name = constant("\(node.path).weight", weight)
    guard layer.hasBias else { return emit("MatMul", node, [input, name]) }
    let product = step("MatMul", node, "product", [input, name])
    return emit("Add", node, [product, try parameter(node, "bias")])
  }

  /// Parts that lie side by side in a sequence, [N, T, parts * C], each as [N, heads, T, width].
  private mutating func heads(
    _ node: Node, _ input: String, _ names: [String], _ heads: Int, _ width: Int
  ) -> [String] {
    let tokens = shapes[node.inputs[0].index][3]
    let split = constant(
      "\(node.path).heads", integers: [0, tokens, names.count, heads, width])
    let parts = step(
      "Transpose", node, "parts", [step("Reshape", node, "split", [input, split])],
      ["perm": .integers([2, 0, 3, 1, 4])])
    return names.enumerated().map { index, name in
      let place = constant("constant.index\(index)", integer: index)
      return step("Gather", node, name, [parts, place], ["axis": .integer(0)])
    }
  }

  /// Shapes: qkv [N, T, 3 C]; per part [N, heads, T, width].
  private mutating func addAttention(
    _ node: Node, _ layer: Attention, _ input: String
  ) throws -> String {
    let tokens = shapes[node.id.index][3]
    let parts = heads(
      node, try biased(node, layer, input), ["queries", "keys", "values"], layer.heads,
      layer.width)
    let (queries, keys) = (turned(node, "queries", parts[0]), turned(node, "keys", parts[1]))
    let values = parts[2]
    let scale = constant("\(node.path).scale", layer.scale)
    let scaled = step("Mul", node, "scaled", [queries, scale])
    let turned = step("Transpose", node, "turned", [keys], ["perm": .integers([0, 1, 3, 2])])
    let scores = step("MatMul", node, "scores", [scaled, turned])
    let weights = step("Softmax", node, "weights", [scores], ["axis": .integer(-1)])
    let mixed = step("MatMul", node, "mixed", [weights, values])
    let merged = step("Transpose", node, "merged", [mixed], ["perm": .integers([0, 2, 1, 3])])
    let flat = constant("\(node.path).flat", integers: [0, tokens, layer.channels])
    return emit("Reshape", node, [merged, flat])
  }

  /// Shapes: keys and values [N, T, 2 C]; per part [N, heads, T, width]; the query [1, heads, 1, width], which is
  /// the same for every image and so computed here.
  private mutating func addPooling(
    _ node: Node, _ layer: AttentionPooling, _ input: String
  ) throws -> String {
    let parts = heads(node, input, ["keys", "values"], layer.heads, layer.width)
    let query =
      layer.hasProjection
      ? constant(
        "\(node.path).query",
        Tensor(
          layer.query(try node.parameters.map { try parameters.tensor($0.path) }),
          shape: [1, layer.heads, 1, layer.width]))
      : try parameter(node, "query")
    let scale = constant("\(node.path).scale", layer.scale)
    let scaled = step("Mul", node, "scaled", [parts[0], scale])
    let turned = step("Transpose", node, "turned", [scaled], ["perm": .integers([0, 1, 3, 2])])
    let scores = step("MatMul", node, "scores", [query, turned])
    let weights = step("Softmax", node, "weights", [scores], ["axis": .integer(-1)])
    let mixed = step("MatMul", node, "mixed", [weights, parts[1]])
    let merged = step("Transpose", node, "merged", [mixed], ["perm": .integers([0, 2, 1, 3])])
    return emit(
      "Reshape", node,
      [merged, constant("\(node.path).flat", integers: [0, 1, layer.channels])])
  }

  /// Queries, keys and values with their biases, of which keys have none.
  private mutating func biased(
    _ node: Node, _ layer: Attention, _ input: String
  ) throws -> String {
    guard layer.hasBiases else { return input }
    let biases = try node.parameters.map { try parameters.tensor($0.path).elements }
    let none = [Float](repeating: 0, count: layer.channels)
    let all = Tensor(biases[0] + none + biases[1], shape: [3 * layer.channels])
    return step("Add", node, "biased", [input, constant("\(node.path).bias", all)])
  }

  /// Queries or keys, [N, heads, T, width], as positions turn them: times cosines, and the halves of each
  /// head's channels exchanged times sines, whose first half is negative. The tokens before the patches have
  /// cosines of 1 and sines of 0.
  private mutating func turned(_ node: Node, _ name: String, _ input: String) -> String {
    guard let angles = graph.rotaryAngles(of: node, shapes) else { return input }
    let (patches, half) = (angles.shape[0], angles.shape[1])
    let before = (shapes[node.id.index][3] - patches) * 2 * half
    func table(_ name: String, _ start: Float, _ value: (Double, Int) -> Double) -> String {
      var rows = [Float](repeating: start, count: before)
      for patch in 0..<patches {
        for side in 0..<2 {
          rows += (0..<half).map { Float(value(angles[patch * half + $0], side)) }
        }
      }
      return constant(
        "\(node.path).\(name)", Tensor(rows, shape: [rows.count / (2 * half), 2 * half]))
    }
    let cosines = table("cosines", 1) { angle, _ in cos(angle) }
    let sines = table("sines", 0) { angle, side in side == 0 ? -sin(angle) : sin(angle) }
    func part(_ part: String, _ first: Int) -> String {
      step(
        "Slice", node, "\(name).\(part)",
        [
          input, constant("constant.from\(first)", integers: [first]),
          constant("constant.from\(first + half)", integers: [first + half]),
          constant("constant.axis3", integers: [3]),
        ])
    }
    let exchanged = step(
      "Concat", node, "\(name).exchanged", [part("second", half), part("first", 0)],
      ["axis": .integer(-1)])
    let straight = step("Mul", node, "\(name).straight", [input, cosines])
    let across = step("Mul", node, "\(name).across", [exchanged, sines])
    return step("Add", node, "\(name).turned", [straight, across])
  }

  private mutating func addSelection(
    _ node: Node, _ selection: TokenSelection, _ input: String
  ) -> String {
    let first = selection.first
    let end = first + shapes[node.id.index][3]
    return emit(
      "Slice", node,
      [
        input, constant("\(node.path).first", integers: [first]),
        constant("\(node.path).end", integers: [end]), constant("constant.axis1", integers: [1]),
      ])
  }

  /// The image's patches as rows, with what stands before them and the positions of this size.
  private mutating func addTokens(_ node: Node, _ layer: TokenSequence) throws -> String {
    let image = shapes[node.inputs[0].index]
    let patches = Extent2D(height: image[2], width: image[3])
    let flat = constant("\(node.path).flat", integers: [0, layer.channels, patches.count])
    let input = self.image(of: node.inputs[0])
    let rows = step(
      "Transpose", node, "rows", [step("Reshape", node, "flattened", [input, flat])],
      ["perm": .integers([0, 2, 1])])
    let batch = step(
      "Shape", node, "batch", [rows], ["start": .integer(0), "end": .integer(1)])
    func expanded(_ name: String, _ count: Int) -> String {
      let extents = constant("\(node.path).\(name)", integers: [count, layer.channels])
      let shape = step("Concat", node, "\(name).shape", [batch, extents], ["axis": .integer(0)])
      return step("Expand", node, "\(name).expanded", [name, shape])
    }
    var before: [String] = []
    for parameter in node.parameters.dropLast(layer.hasPositions ? 1 : 0) {
      let name = parameter.path.description
      let stored = constant(name, try parameters.tensor(parameter.path))
      before.append(expanded(stored, parameter.shape[1]))
    }
    guard layer.hasPositions else {
      return before.isEmpty
        ? rows : emit("Concat", node, before + [rows], ["axis": .integer(1)])
    }
    return try join(node, layer, rows, before, patches)
  }

  /// Positions first or last, whichever tokens have one.
  private mutating func join(
    _ node: Node, _ layer: TokenSequence, _ rows: String, _ before: [String], _ patches: Extent2D
  ) throws -> String {
    let path = node.parameters[node.parameters.count - 1].path
    let stored = try parameters.tensor(path).elements
    let cut = layer.positioned * layer.channels
    let grid = Tensor(stored[cut...], shape: [layer.grid.count, layer.channels])
    let own = layer.resampling.resampled(grid, from: layer.grid, to: patches).elements
    func positions(_ name: String, _ values: [Float]) -> String {
      constant(name, Tensor(values, shape: [1, values.count / layer.channels, layer.channels]))
    }
    if layer.positioned == 0 {
      let placed = positions(path.description, own)
      if before.isEmpty { return emit("Add", node, [rows, placed]) }
      let sum = step("Add", node, "placed", [rows, placed])
      return emit("Concat", node, before + [sum], ["axis": .integer(1)])
    }
    // Of the tokens before the patches the first ones have a position, the others none.
    let none = [Float](repeating: 0, count: layer.prefix * layer.channels - cut)
    let all = step("Concat", node, "all", before + [rows], ["axis": .integer(1)])
    return emit("Add", node, [all, positions(path.description, stored[..<cut] + none + own)])
  }
}
