// SPDX-License-Identifier: Apache-2.0

import ThawCheckpoints
import ThawNetwork
import ThawTensors

/// Products, sums and softmaxes of sequences: attention, and the dense layers around it.
extension ONNXImporter {
  // MARK: Dense layers

  /// Every token times a matrix, [inputs, outputs] or transposed by the node's attribute.
  mutating func linear(_ node: ONNXNode, weightIndex: Int, bias: StoredTensor?) throws {
    let view = try tokenwise(node)
    let channels = shape(of: view).channels
    guard let weight = try constant(node, weightIndex), weight.shape.rank == 2,
      weight.shape.count > 0, node.integer("transA") ?? 0 == 0, node.float("alpha") ?? 1 == 1,
      node.float("beta") ?? 1 == 1
    else { throw failure(node, "tokens times a constant matrix are expected") }
    let isTransposed = node.operation == "Gemm" && node.integer("transB") ?? 0 != 0
    let (outputs, inputs) =
      isTransposed ? (weight.shape[0], weight.shape[1]) : (weight.shape[1], weight.shape[0])
    guard inputs == channels else {
      throw failure(node, "\(channels) channels do not fit a matrix of \(weight.shape)")
    }
    var tensors = ["weight": try rows(weight, isTransposed: isTransposed)]
    if let bias { tensors["bias"] = try vector(bias, outputs, node) }
    let layer = Convolution2D(
      inputs: inputs, outputs: outputs, window: Window2D(kernel: 1), hasBias: bias != nil,
      storesMatrix: true)
    try setTokenwise(node, .convolution(layer), view, tensors, weight: weight.name)
  }

  mutating func multiplySequences(_ node: ONNXNode) throws {
    guard node.inputs.count == 2 else { throw failure(node, "two factors are expected") }
    if case .constant? = values[node.inputs[1]] {
      return try linear(node, weightIndex: 1, bias: nil)
    }
    if case .scores(let scores)? = values[node.inputs[0]] {
      return try attend(node, scores, try sequence(node, 1))
    }
    if case .constant(let tensor)? = values[node.inputs[0]] {
      return try look(node, tensor, at: try sequence(node, 1))
    }
    let (queries, keys) = (try sequence(node, 0), try sequence(node, 1))
    let rank = queries.axes.count
    guard rank >= 3, keys.axes.count == rank,
      let width = SequenceView.extent(queries.axes[rank - 1]),
      width >= 1, queries.axes[rank - 1] == SequenceView.channels(width),
      keys.axes[rank - 2] == queries.axes[rank - 1],
      queries.axes[rank - 2] == SequenceView.tokens(shape(of: queries).tokens),
      keys.axes[rank - 1] == SequenceView.tokens(shape(of: keys).tokens),
      queries.axes[..<(rank - 2)] == keys.axes[..<(rank - 2)], queries.firstToken == 0,
      keys.firstToken == 0, queries.rotary == keys.rotary
    else {
      throw failure(
        node,
        "of products of two sequences only those of an attention are known here: queries of whole"
          + " tokens times the keys of the same heads")
    }
    set(
      node,
      .scores(
        Scores(
          queries: queries, keys: keys, leading: Array(queries.axes[..<(rank - 2)]),
          scale: queries.scale * keys.scale, rotary: queries.rotary, width: width)))
  }

  /// A query that is the same for every photo, [..., heads, 1, width], times keys: a pooling by attention.
  private mutating func look(
    _ node: ONNXNode, _ query: StoredTensor, at keys: SequenceView
  ) throws {
    let rank = keys.axes.count
    guard rank >= 3, let width = SequenceView.extent(keys.axes[rank - 2]), width >= 1,
      keys.axes[rank - 2] == SequenceView.channels(width),
      keys.axes[rank - 1] == SequenceView.tokens(shape(of: keys).tokens), keys.firstToken == 0,
      keys.rotary == nil, query.shape.rank >= 2, query.shape[query.shape.rank - 1] == width,
      query.shape[query.shape.rank - 2] == 1
    else {
      throw failure(
        node,
        "of products of a constant and a sequence only those of one query and the keys of its"
          + " heads are known here")
    }
    set(
      node,
      .scores(
        Scores(
          queries: nil, query: query, keys: keys,
          leading: Array(keys.axes[..<(rank - 2)]), scale: keys.scale, width: width)))
  }

  mutating func attentionWeights(_ node: ONNXNode) throws {
    guard case .scores(var scores)? = values[node.inputs[0]], !scores.areWeights else {
      throw failure(node, "a softmax over the keys of an attention is expected")
    }
    // Before operation set 13 the default is another axis.
    let axis = node.integer("axis") ?? (version < 13 ? 1 : -1)
    guard axis == -1 || axis == scores.leading.count + 1 else {
      throw failure(node, "a softmax over the keys, the last axis, is expected")
    }
    scores.areWeights = true
    set(node, .scores(scores))
  }

  /// `Where` behind `IsNaN`, which puts zeros for rows in which every score was masked: there are none.
  mutating func pickNumbers(_ node: ONNXNode) throws {
    guard node.inputs.count == 3, case .scores? = values[node.inputs[0]],
      case .scores(let scores)? = values[node.inputs[2]], scores.areWeights,
      case .constant(let tensor)? = values[node.inputs[1]], try numbers(tensor).elements == [0]
    else { throw failure(node, "a choice between numbers is not known here") }
    set(node, .scores(scores))
  }

  /// Weights times values.
  private mutating func attend(_ node: ONNXNode, _ scores: Scores, _ values: SequenceView) throws {
    let tokens = shape(of: values).tokens
    let wanted =
      scores.leading + [SequenceView.tokens(tokens), SequenceView.channels(scores.width)]
    guard scores.areWeights, values.axes == wanted, values.firstToken == 0, values.scale == 1,
      values.rotary == nil
    else {
      throw failure(node, "the values of an attention, of the same heads as its keys, are expected")
    }
    let heads = scores.leading.joined().filter { $0.axis == .channel }
    guard heads.count <= 1, heads.allSatisfy({ $0.stride == scores.width }),
      scores.leading.joined().allSatisfy({ $0.axis != .token })
    else { throw failure(node, "its heads do not lie side by side in the channels") }
    if let query = scores.query {
      return try pool(node, scores, values, query, heads: heads.first?.extent ?? 1)
    }
    let layer = Attention(
      channels: (heads.first?.extent ?? 1) * scores.width, heads: heads.first?.extent ?? 1,
      rotary: scores.rotary)
    guard abs(scores.scale / layer.scale - 1) < 1e-3 else {
      throw failure(
        node,
        "its scores are multiplied by \(scores.scale), known here is 1 / sqrt(\(layer.width)) ="
          + " \(layer.scale)")
    }
    let parts = [scores.queries, scores.keys, values].compactMap(\.self)
    let source = try joined(node, parts, layer.channels)
    let index = try draft.add(layerName(node), .attention(layer), [source])
    var result = SequenceView(layer: index, wanted)
    result.axes[wanted.count - 2] = SequenceView.tokens(tokens)
    setSequence(node, result)
  }

  /// The same where one query pools.
  private mutating func pool(
    _ node: ONNXNode, _ scores: Scores, _ values: SequenceView, _ query: StoredTensor, heads: Int
  ) throws {
    let layer = AttentionPooling(
      channels: heads * scores.width, heads: heads, hasProjection: false)
    let numbers = try numbers(query).elements
    guard numbers.count == layer.channels else {
      throw failure(
        node,
        "a query of \(numbers.count) numbers does not fit \(heads) heads of \(scores.width)")
    }
    let source = try joined(node, [scores.keys, values], layer.channels)
    let factor = scores.scale / layer.scale
    let index = try draft.add(
      layerName(node, weight: query.name), .attentionPooling(layer), [source],
      [
        "query": Tensor(
          numbers.map { Float(Double($0) * factor) }, shape: [1, heads, 1, layer.width])
      ])
    var result = SequenceView(
      layer: index, scores.leading + [[], SequenceView.channels(scores.width)])
    result.axes[result.axes.count - 2] = SequenceView.tokens(1)
    setSequence(node, result)
  }

  /// The layer that has queries, keys and values side by side, or the latter two, which is made where as many
  /// dense layers of one input have them.
  private mutating func joined(
    _ node: ONNXNode, _ parts: [SequenceView], _ channels: Int
  ) throws -> Int {
    let rows = parts.count * channels
    if parts.allSatisfy({ $0.layer == parts[0].layer }),
      parts.map(\.firstChannel) == parts.indices.map({ $0 * channels }),
      draft[parts[0].layer].shape[1] == rows
    {
      return parts[0].layer
    }
    var weights: [Float] = []
    var biases: [Float] = []
    for part in parts {
      let layer = draft[part.layer]
      guard part.firstChannel == 0, layer.shape[1] == channels, layer.shape.rank == 4,
        case .convolution(let dense) = layer.operation, dense.storesMatrix,
        layer.inputs == draft[parts[0].layer].inputs, let weight = layer.tensors["weight"]
      else {
        throw failure(
          node,
          "queries, keys and values of one dense layer, or of several with the same input, are"
            + " expected; '\(Printable(layer.path.description))' is none")
      }
      weights += weight.elements
      biases +=
        layer.tensors["bias"]?.elements ?? [Float](repeating: 0, count: channels)
    }
    let inputs = weights.count / rows
    let layer = Convolution2D(
      inputs: inputs, outputs: rows, window: Window2D(kernel: 1), hasBias: true, storesMatrix: true)
    return try draft.add(
      draft[parts[0].layer].path.parent.appending(parts.count == 3 ? "qkv" : "kv").description,
      .convolution(layer), draft[parts[0].layer].inputs,
      [
        "weight": Tensor(weights, shape: [rows, inputs]), "bias": Tensor(biases, shape: [rows]),
      ])
  }

  // MARK: Sums and products

  mutating func combineSequences(_ node: ONNXNode) throws {
    guard node.inputs.count == 2 else { throw failure(node, "two inputs are expected") }
    let (left, right) = (values[node.inputs[0]], values[node.inputs[1]])
    if case .constant(let tensor)? = right, let left {
      return try combine(node, 0, left, with: tensor)
    }
    if case .extents(let list)? = right, let left, list.count == 1, case .size(let size) = list[0] {
      let tensor = StoredTensor("", Tensor([Float(size)], shape: []))
      return try combine(node, 0, left, with: tensor)
    }
    if case .constant(let tensor)? = left, let right, ["Add", "Mul"].contains(node.operation) {
      return try combine(node, 1, right, with: tensor)
    }
    let first = try tokenwise(node, 0)
    let second = try tokenwise(node, 1)
    guard first.axes == second.axes else {
      throw failure(
        node,
        "\(printed(extents(of: first))) and \(printed(extents(of: second))) have their dimensions"
          + " in different orders")
    }
    switch node.operation {
    case "Add":
      var result = first
      result.layer = try draft.add(layerName(node), .add, [first.layer, second.layer])
      setSequence(node, result)
    case "Mul":
      var source = first
      guard let swish = draft.swish(first.layer, second.layer) else {
        // A gated unit.
        source.layer = try draft.add(layerName(node), .multiply, [first.layer, second.layer])
        return setSequence(node, source)
      }
      source.layer = swish.of
      try setTokenwise(node, .activation(swish.function), source)
      if swish.factor != 1, case .view(var view)? = values[node.outputs[0]] {
        view.scale *= Double(swish.factor)
        setSequence(node, view)
      }
    default: throw failure(node, "a difference or a quotient of two sequences is not known here")
    }
  }

  /// A sequence, or scores, and a constant.
  private mutating func combine(
    _ node: ONNXNode, _ index: Int, _ value: Value, with tensor: StoredTensor
  ) throws {
    if case .scores(let scores) = value { return try combine(node, scores, with: tensor) }
    if try addPositions(node, value, tensor) { return }
    var view = try sequence(node, index)
    if tensor.shape.count == 1, ["Mul", "Div"].contains(node.operation) {
      let number = Double(try numbers(tensor)[0])
      let factor = node.operation == "Mul" ? number : 1 / number
      guard factor.isFinite else { throw failure(node, "a division by zero") }
      let (tokens, channels) = shape(of: view)
      if let hard = draft.hardActivation(view.layer, times: factor), view.scale == 1,
        view.isOfTokens(tokens, channels: channels)
      {
        view.layer = hard.of
        return try setTokenwise(node, .activation(hard.function), view)
      }
      view.scale *= factor
      return setSequence(node, view)
    }
    view = try tokenwise(node, index)
    let channels = shape(of: view).channels
    let numbers = try numbers(tensor).elements
    guard numbers.count == channels || numbers.count == 1,
      tensor.shape.rank == 0 || tensor.shape[tensor.shape.rank - 1] == numbers.count
    else { throw failure(node, "a constant of \(tensor.shape) is not one number a channel") }
    let all = numbers.count == 1 ? [Float](repeating: numbers[0], count: channels) : numbers
    switch node.operation {
    case "Add" where takesBias(view.layer):
      setBias(view.layer, all)
      setSequence(node, view)
    case "Add", "Sub":
      let point = Convolution2D(
        inputs: channels, outputs: channels, window: Window2D(kernel: 1), groups: channels,
        hasBias: true)
      let ones = [Float](repeating: 1, count: channels)
      try setTokenwise(
        node, .convolution(point), view,
        [
          "weight": Tensor(ones, shape: [channels, 1, 1, 1]),
          "bias": Tensor(node.operation == "Add" ? all : all.map { -$0 }, shape: [channels]),
        ])
    default:
      let scale = node.operation == "Mul" ? all : all.map { 1 / $0 }
      guard scale.allSatisfy(\.isFinite) else { throw failure(node, "a division by zero") }
      try setTokenwise(
        node, .channelScale(ChannelScale(channels: channels, isVector: true)), view,
        ["weight": Tensor(scale, shape: [channels])], weight: nil)
    }
  }

  /// Scores times a number, or with a mask that masks nothing.
  private mutating func combine(
    _ node: ONNXNode, _ scores: Scores, with tensor: StoredTensor
  ) throws {
    var scores = scores
    guard !scores.areWeights else { throw failure(node, "weights of an attention are changed") }
    let numbers = try numbers(tensor).elements
    switch node.operation {
    case "Mul" where numbers.count == 1: scores.scale *= Double(numbers[0])
    case "Div" where numbers.count == 1 && numbers[0] != 0: scores.scale /= Double(numbers[0])
    case "Add" where numbers.allSatisfy({ $0 == 0 }): break
    default:
      throw failure(
        node, "scores of an attention with a mask or a bias of their own are not known here")
    }
    set(node, .scores(scores))
  }
}
