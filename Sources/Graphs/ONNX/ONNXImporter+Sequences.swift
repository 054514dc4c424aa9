// SPDX-License-Identifier: Apache-2.0

import ThawCheckpoints
import ThawNetwork
import ThawTensors

/// Sequences of tokens: what vision transformers compute with.
extension ONNXImporter {
  /// Patches as rows that have not all of what makes a sequence of them yet.
  struct Patches {
    var view: SequenceView
    /// Tokens before the patches, [k, C].
    var before: [Float] = []
    /// Positions, [positioned + patches, C]; nil before they are added.
    var positions: [Float]?
    /// How many of the tokens before the patches have a position.
    var positioned = 0
  }

  /// Products of queries and keys.
  struct Scores {
    /// Nil where one query of constants looks at all photos.
    var queries: SequenceView?
    var query: StoredTensor?
    var keys: SequenceView
    /// The dimensions before the tokens: photos and heads.
    var leading: [[SequenceView.Factor]]
    var scale: Double
    /// How positions turn both.
    var rotary: RotaryEmbedding?
    /// Whether a softmax was taken over the keys.
    var areWeights = false
    var width: Int
  }

  /// Dimensions of the batch: none where the file fixes it to one photo.
  var batchFactors: [SequenceView.Factor] { fixedBatch == 1 ? [] : [SequenceView.batch] }

  /// Translates a node that works on a sequence; false when it does not.
  mutating func translateSequence(_ node: ONNXNode) throws -> Bool {
    guard node.domain.isEmpty || node.domain == "ai.onnx" else { return false }
    if try beginSequence(node) { return true }
    if try translateTurning(node) { return true }
    let isSequence = node.inputs.contains { name in
      switch values[name] {
      case .view?, .patches?, .scores?: true
      default: false
      }
    }
    guard isSequence else { return false }
    switch node.operation {
    case "Identity": try identity(node)
    case "Cast":
      guard try castTarget(node).isFloatingPoint else {
        throw failure(
          node, "it makes integers of numbers of tokens, which rounds them; that is not known here")
      }
      try identity(node)
    case "Dropout": try sequenceDropout(node)
    case "Shape": try sequenceShape(node)
    case "Reshape", "Flatten", "Transpose", "Squeeze", "Unsqueeze": try rearrange(node)
    case "Slice", "Gather", "Split": try pickTokens(node)
    case "Expand": try identity(node)
    case "Concat": try joinTokens(node)
    case "LayerNormalization": try normalizeTokens(node)
    case "MatMul": try multiplySequences(node)
    case "Gemm": try linear(node, weightIndex: 1, bias: constant(node, 2))
    case "Add", "Sub", "Mul", "Div": try combineSequences(node)
    case "Softmax": try attentionWeights(node)
    case "IsNaN": try identity(node)
    case "Where": try pickNumbers(node)
    case "ReduceMean": try meanOfTokens(node)
    case "Relu": try activateTokens(node, .relu)
    case "Sigmoid": try activateTokens(node, .sigmoid)
    case "HardSwish": try activateTokens(node, .hardSwish)
    case "Gelu":
      let isExact = node.text("approximate") ?? "none" == "none"
      try activateTokens(node, isExact ? .gelu : .geluTanh)
    default:
      throw failure(
        node,
        "of sequences of tokens no network here computes that. Import the weights instead:"
          + " torch.save(model.state_dict(), \"weights.pth\")")
    }
    return true
  }

  /// A reshape of an image to rows, which is where a sequence begins.
  private mutating func beginSequence(_ node: ONNXNode) throws -> Bool {
    guard node.operation == "Reshape", let name = node.inputs.first,
      case .image(let image)? = values[name], image.padding == nil,
      let target = node.inputs.count > 1
        ? extentsValue(node.inputs[1]) : node.integers("shape")?.map(Extent.size),
      target.count == 3 || target.count > 4, let view = view(of: image)
    else { return false }
    guard let result = reshaped(view, target) else {
      throw failure(
        node, "\(printed(onnxExtents(of: image))) cannot become \(printed(target)) here")
    }
    setSequence(node, result)
    return true
  }

  /// An image as a view.
  func view(of image: Image) -> SequenceView? {
    let shape = draft[image.layer].shape
    guard shape.rank == 4 else { return nil }
    let rows =
      shape[2] == 1
      ? [] : [SequenceView.Factor(axis: .token, extent: shape[2], stride: shape[3])]
    let columns = SequenceView.tokens(shape[3])
    let channels = SequenceView.channels(shape[1])
    switch image.layout {
    case .channelsFirst:
      return SequenceView(layer: image.layer, [batchFactors, channels, rows, columns])
    case .channelsLast:
      return SequenceView(layer: image.layer, [batchFactors, rows, columns, channels])
    default: return nil
    }
  }

  /// The sequence that is input `index`.
  mutating func sequence(_ node: ONNXNode, _ index: Int = 0) throws -> SequenceView {
    guard index < node.inputs.count else { throw failure(node, "an input is missing") }
    let name = node.inputs[index]
    switch values[name] {
    case .view(let view)?: return view
    case .patches(let patches)?:
      let view = try finished(patches, node)
      values[name] = .view(view)
      return view
    case .image(let image)?:
      guard image.padding == nil, let view = view(of: image) else { fallthrough }
      return view
    default: throw failure(node, "its input \(index + 1) is no sequence of tokens")
    }
  }

  func shape(of view: SequenceView) -> (tokens: Int, channels: Int) {
    let shape = draft[view.layer].shape
    return (shape.rank == 4 ? shape[2] * shape[3] : 1, shape[1])
  }

  /// Makes `view` the node's result; an image again where its dimensions are an image's.
  mutating func setSequence(_ node: ONNXNode, _ view: SequenceView) {
    guard let name = node.outputs.first else { return }
    setSequence(name, view)
  }

  mutating func setSequence(_ name: String, _ view: SequenceView) {
    let shape = draft[view.layer].shape
    if view.scale == 1, view.rotary == nil, view.firstChannel == 0, view.firstToken == 0,
      shape.rank == 4,
      view.axes.count == 4,
      let first = self.view(of: Image(layer: view.layer, layout: .channelsFirst)),
      view.axes == first.axes
    {
      values[name] = .image(Image(layer: view.layer, layout: .channelsFirst))
    } else {
      values[name] = .view(view)
    }
    names[view.layer, default: []].append(name)
  }

  /// The view with its factor and its choice of tokens as layers of their own, so that it is all of its
  /// layer's numbers.
  mutating func materialized(_ view: SequenceView, _ node: ONNXNode) throws -> SequenceView {
    var view = view
    guard view.rotary == nil else {
      throw failure(node, "turned queries and keys are known here in an attention alone")
    }
    if view.scale != 1 {
      let channels = shape(of: view).channels
      let scale = [Float](repeating: Float(view.scale), count: channels)
      view.layer = try draft.add(
        layerName(node) + ".scale",
        .channelScale(ChannelScale(channels: channels, isVector: true)), [view.layer],
        ["weight": Tensor(scale, shape: [channels])])
      view.scale = 1
    }
    let tokens = view.axes.joined().filter { $0.axis == .token }
    let count = view.tokenCount
    if count != shape(of: view).tokens {
      guard tokens.count <= 1, tokens.allSatisfy({ $0.stride == 1 }),
        draft[view.layer].shape[2] == 1
      else { throw failure(node, "it picks tokens that do not lie side by side") }
      view.layer = try draft.add(
        layerName(node) + ".tokens",
        .selectTokens(TokenSelection(first: view.firstToken, count: count)), [view.layer])
      view.firstToken = 0
    }
    return view
  }

  /// A view of which each token's channels are computed by themselves.
  mutating func tokenwise(_ node: ONNXNode, _ index: Int = 0) throws -> SequenceView {
    let view = try materialized(try sequence(node, index), node)
    let (tokens, channels) = shape(of: view)
    guard view.isOfTokens(tokens, channels: channels) else {
      throw failure(
        node, "the channels of whole tokens are expected in the last dimension, and are not there")
    }
    return view
  }

  /// Adds a layer that computes of each token by itself; the dimensions stay in their order.
  mutating func setTokenwise(
    _ node: ONNXNode, _ operation: Operation, _ view: SequenceView,
    _ tensors: [String: Tensor<Float>] = [:], weight: String? = nil
  ) throws {
    var result = view
    result.layer = try draft.add(
      layerName(node, weight: weight), operation, [view.layer], tensors)
    result.axes[result.axes.count - 1] = SequenceView.channels(draft[result.layer].shape[1])
    try setRows(node, result)
  }

  /// A result; a row of features again where it is one token of each photo.
  mutating func setRows(_ node: ONNXNode, _ view: SequenceView) throws {
    let (tokens, channels) = shape(of: view)
    // All channels in their order, or it is no row yet.
    guard view.axes.count == 2, view.axes[0] == batchFactors, tokens == 1,
      view.axes[1] == SequenceView.channels(channels), view.firstChannel == 0,
      view.firstToken == 0, view.scale == 1, draft[view.layer].shape.rank == 4
    else { return setSequence(node, view) }
    let layer = try draft.add(layerName(node) + ".flatten", .flatten, [view.layer])
    set(node, .image(Image(layer: layer, layout: .row)))
  }

  mutating func activateTokens(_ node: ONNXNode, _ function: Activation) throws {
    try setTokenwise(node, .activation(function), tokenwise(node))
  }

  private mutating func sequenceDropout(_ node: ONNXNode) throws {
    var probability = node.float("ratio") ?? 0.5
    if let ratio = try constant(node, 1), ratio.shape.count == 1 {
      probability = try ratio.floats()[0]
    }
    guard probability > 0, probability < 1, case .view? = values[node.inputs[0]] else {
      return try identity(node)
    }
    try setTokenwise(node, .dropout(probability: Double(probability)), tokenwise(node))
  }

  private mutating func normalizeTokens(_ node: ONNXNode) throws {
    let view = try tokenwise(node)
    let channels = shape(of: view).channels
    guard [-1, view.axes.count - 1].contains(node.integer("axis") ?? -1),
      let scale = try constant(node, 1)
    else { throw failure(node, "a constant scale and the last axis are expected") }
    let shift = try constant(node, 2).map { try vector($0, channels, node) }
    try setTokenwise(
      node,
      .layerNormalization(
        LayerNormalization(
          channels: channels, epsilon: Double("\(node.float("epsilon") ?? 1e-5)") ?? 1e-5)), view,
      ["weight": try vector(scale, channels, node), "bias": shift ?? Tensor(zeros: [channels])],
      weight: scale.name)
  }

  private mutating func meanOfTokens(_ node: ONNXNode) throws {
    let view = try materialized(try sequence(node), node)
    let places = try reducedAxes(node, rank: view.axes.count)
    let (tokens, channels) = shape(of: view)
    guard !places.isEmpty, view.firstChannel == 0, view.channelCount == channels,
      places.flatMap({ view.axes[$0] }).allSatisfy({ $0.axis == .token }),
      places.flatMap({ view.axes[$0] }).reduce(1, { $0 * $1.extent }) == tokens
    else { throw failure(node, "a mean over all tokens is expected") }
    var result = view
    result.layer = try draft.add(layerName(node), .globalAveragePooling, [view.layer])
    let keeps = keepsDimensions(node)
    result.axes = view.axes.enumerated().compactMap { index, factors in
      places.contains(index) ? (keeps ? [] : nil) : factors
    }
    try setRows(node, result)
  }
}
