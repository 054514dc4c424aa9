// SPDX-License-Identifier: Apache-2.0

import ThawCheckpoints
import ThawNetwork
import ThawTensors

extension ONNXImporter {
  mutating func clip(_ node: ONNXNode) throws {
    let input = try image(node)
    func bound(_ index: Int, _ name: String) throws -> Float? {
      if let tensor = try constant(node, index) {
        guard tensor.shape.count == 1 else { throw failure(node, "a bound is not one number") }
        return try numbers(tensor)[0]
      }
      return node.float(name)
    }
    let low = try bound(1, "min")
    let high = try bound(2, "max")
    switch (low, high) {
    case (0, 6): try set(node, .activation(.relu6), [input])
    case (0, nil), (0, Float.infinity), (0, Float.greatestFiniteMagnitude):
      try set(node, .activation(.relu), [input])
    default:
      throw failure(
        node,
        "bounds 0 and 6, or 0 alone, are known here, found"
          + " \(low.map { "\($0)" } ?? "none") and \(high.map { "\($0)" } ?? "none")")
    }
  }

  /// min(max(alpha x + beta, 0), 1): of another slope than 1/6 the usual one of a multiple of x.
  mutating func hardSigmoid(_ node: ONNXNode) throws {
    let (alpha, beta) = (node.float("alpha") ?? 0.2, node.float("beta") ?? 0.5)
    guard alpha > 0, alpha.isFinite, beta == 0.5, let name = node.inputs.first else {
      throw failure(
        node,
        "a x + 0.5 between 0 and 1 is known here, with a slope above 0, found alpha \(alpha) and beta"
          + " \(beta)")
    }
    guard abs(alpha - 1 / 6) >= 1e-6 else {
      return try set(node, .activation(.hardSigmoid), [image(node)])
    }
    let scaled = name + "\u{0}" + node.outputs.joined()
    let product = ONNXNode("Mul", name: node.name, inputs: [name], outputs: [scaled])
    let factor = Tensor<Float>([6 * alpha], shape: [1])
    try shift(product, image(node), by: StoredTensor("", factor))
    guard case .image(let image)? = values[scaled] else {
      throw failure(node, "it is taken of the photo itself")
    }
    try set(node, .activation(.hardSigmoid), [image])
  }

  /// Of a softmax: its logarithm is made of the same logits, and the same probabilities are of it.
  mutating func logarithm(_ node: ONNXNode) throws {
    guard let name = node.inputs.first, case .probabilities(let image)? = values[name] else {
      throw failure(node, "a logarithm is known here of a softmax at the end alone")
    }
    set(node, .probabilities(image))
  }

  mutating func dropout(_ node: ONNXNode) throws {
    let input = try image(node)
    var probability = node.float("ratio") ?? 0.5
    if let ratio = try constant(node, 1), ratio.shape.count == 1 {
      probability = try ratio.floats()[0]
    }
    guard probability >= 0, probability < 1 else {
      throw failure(node, "a probability of \(probability) is not in 0 to 1")
    }
    guard node.outputs.dropFirst().allSatisfy({ users[$0] == nil }) else {
      throw failure(node, "its mask is used")
    }
    if node.inputs.count > 2, case .constant(let flag)? = values[node.inputs[2]],
      try flag.withBytes({ $0.contains { $0 != 0 } })
    {
      throw failure(node, "it was exported in training mode; export after model.eval()")
    }
    try set(node, .dropout(probability: Double(probability)), [input])
  }

  /// The division by which Thaw calibrates: the record says it too, and whoever reads the file divides.
  mutating func calibratedLogits(_ node: ONNXNode) throws {
    let input = try image(node)
    let said = try ModelRecord(model, file: file)?.temperature
    guard let divisor = try constant(node, 1), divisor.shape.count == 1, let said,
      let found = try numbers(divisor).elements.first, abs(Double(found) - said) <= 1e-5 * said
    else {
      throw failure(
        node,
        "it divides the logits by another number than the temperature in the metadata,"
          + " \(said.map { "\($0)" } ?? "none"). Export the model again")
    }
    // Not by `set`: no layer is to be called by it.
    for output in node.outputs { values[output] = .image(input) }
  }

  mutating func softmax(_ node: ONNXNode) throws {
    let input = try image(node)
    let shape = draft[input.layer].shape
    let axis = node.integer("axis") ?? (version < 13 ? 1 : -1)
    let place = axis < 0 ? axis + shape.rank : axis
    let channels: Int
    switch input.layout {
    case .channelsFirst, .row, .rowOfChannelsLast: channels = 1
    case .channelsLast: channels = shape.rank - 1
    case .channelsOutermost: throw failure(node, "photos and channels change places before it")
    }
    // Of older operation sets all dimensions from the axis on are one.
    let isOfAll = version < 13 && place == 1
    guard place == channels || isOfAll else {
      throw failure(node, "a softmax over the classes, axis \(channels), is expected")
    }
    guard shape.rank == 2 || shape[2] * shape[3] == 1 else {
      throw failure(node, "a softmax at each pixel, or over all of them, is no classifier's")
    }
    set(node, .probabilities(input))
  }

  /// A sum, product, difference or quotient: of two images, or of an image and a constant.
  mutating func elementwise(_ node: ONNXNode) throws {
    guard node.inputs.count == 2 else { throw failure(node, "two inputs are expected") }
    switch (values[node.inputs[0]], values[node.inputs[1]]) {
    case (.image, .image): try combine(node, image(node, 0), image(node, 1))
    case (.image, .constant(let tensor)): try shift(node, image(node, 0), by: tensor)
    case (.constant(let tensor), .image) where ["Add", "Mul"].contains(node.operation):
      try shift(node, image(node, 1), by: tensor)
    default: throw failure(node, "an image and an image or a constant are expected")
    }
  }

  private mutating func combine(_ node: ONNXNode, _ left: Image, _ right: Image) throws {
    guard left.layout.isLike(right.layout) else {
      throw failure(node, "its inputs have their dimensions in different orders")
    }
    let (first, second) = (draft[left.layer], draft[right.layer])
    switch node.operation {
    case "Add":
      guard first.shape == second.shape else {
        throw failure(node, "shapes \(first.shape) and \(second.shape) differ")
      }
      try set(node, .add, [left, right])
    case "Mul":
      if let swish = draft.swish(left.layer, right.layer) {
        let input = Image(layer: swish.of, layout: left.layout)
        try set(node, .activation(swish.function), [input])
        if swish.factor != 1 { try multiply(node, by: swish.factor) }
      } else if first.shape.rank == 4, second.shape == [1, first.shape[1], 1, 1] {
        try set(node, .gate, [left, right])
      } else if first.shape.rank == 4, first.shape == [1, second.shape[1], 1, 1] {
        try set(node, .gate, [right, left])
      } else {
        throw failure(node, "a product of \(first.shape) and \(second.shape) is not known here")
      }
    default: throw failure(node, "a difference or a quotient of two images is not known here")
    }
  }

  /// The node's result so far times one number.
  private mutating func multiply(_ node: ONNXNode, by factor: Float) throws {
    guard let name = node.outputs.first, case .image(let image)? = values[name] else { return }
    try shift(
      ONNXNode("Mul", name: node.name, inputs: [], outputs: node.outputs), image,
      by: StoredTensor("", Tensor([factor], shape: [1])))
  }

  /// An image and a constant: the bias of the layer before, or a scale and a shift of each channel.
  private mutating func shift(_ node: ONNXNode, _ input: Image, by tensor: StoredTensor) throws {
    let shape = draft[input.layer].shape
    guard !input.isInteger else {
      throw failure(
        node,
        "it computes with integers, which round and wrap. Cast the photo to floating-point numbers"
          + " first")
    }
    let values = try perChannel(node, tensor, input)
    if tensor.shape.count == 1, ["Mul", "Div"].contains(node.operation) {
      let factor = node.operation == "Mul" ? Double(values[0]) : 1 / Double(values[0])
      if let hard = draft.hardActivation(input.layer, times: factor) {
        let source = Image(layer: hard.of, layout: input.layout)
        return try set(node, .activation(hard.function), [source])
      }
    }
    // The 3 of a hard-sigmoid stays apart, so that it is recognised.
    let isHard = tensor.shape.count == 1 && values[0] == 3
    if node.operation == "Add", !isHard, takesBias(input) {
      try addBias(node, input, values)
      return
    }
    var (scale, offset) = (
      [Float](repeating: 1, count: shape[1]), [Float](repeating: 0, count: shape[1])
    )
    switch node.operation {
    case "Add": offset = values
    case "Sub": offset = values.map { -$0 }
    case "Mul": scale = values
    default: scale = values.map { 1 / $0 }
    }
    guard scale.allSatisfy(\.isFinite) else { throw failure(node, "a division by zero") }
    if let pixels = try arithmetic(of: input, scale, offset) {
      return set(node, .image(pixels))
    }
    if node.operation == "Mul", shape.rank == 4 {
      let layer = ChannelScale(channels: shape[1])
      let weight = Tensor(scale, shape: [shape[1], 1, 1])
      return try set(node, .channelScale(layer), [input], ["weight": weight])
    }
    if shape.rank == 4 {
      // No batch norm: it has no statistics.
      let layer = Convolution2D(
        inputs: shape[1], outputs: shape[1], window: Window2D(kernel: 1), groups: shape[1],
        hasBias: true)
      return try set(
        node, .convolution(layer), [input],
        [
          "weight": Tensor(scale, shape: [shape[1], 1, 1, 1]),
          "bias": Tensor(offset, shape: [shape[1]]),
        ])
    }
    // Statistics that change nothing: y = scale * (x - 0) / sqrt(1 + 0) + offset.
    let layer = BatchNormalization(channels: shape[1], epsilon: 0)
    let tensors: [String: Tensor<Float>] = [
      "weight": Tensor(scale, shape: [shape[1]]), "bias": Tensor(offset, shape: [shape[1]]),
      "running_mean": Tensor(zeros: [shape[1]]),
      "running_var": Tensor([Float](repeating: 1, count: shape[1]), shape: [shape[1]]),
    ]
    try set(node, .batchNormalization(layer), [input], tensors)
  }

  /// A constant as one number a channel.
  mutating func perChannel(
    _ node: ONNXNode, _ tensor: StoredTensor, _ input: Image
  ) throws -> [Float] {
    let channels = draft[input.layer].shape[1]
    let extents = tensor.shape.extents
    if tensor.shape.count == 1 {
      return [Float](repeating: try numbers(tensor)[0], count: channels)
    }
    let axisFromEnd: Int
    switch input.layout {
    case .channelsFirst: axisFromEnd = 3
    case .channelsLast, .row: axisFromEnd = 1
    case .rowOfChannelsLast, .channelsOutermost:
      throw failure(node, "a constant for each feature of an image")
    }
    guard extents.count >= axisFromEnd, extents.count <= draft[input.layer].shape.rank,
      tensor.shape.count == channels, extents[extents.count - axisFromEnd] == channels
    else {
      throw failure(node, "a constant of \(tensor.shape) is not one number a channel")
    }
    return try numbers(tensor).elements
  }

  /// Whether the layer that makes `input` has no bias yet and nothing else sees its result.
  private func takesBias(_ input: Image) -> Bool { takesBias(input.layer) }

  func takesBias(_ index: Int) -> Bool {
    switch draft[index].operation {
    case .dense(let layer) where !layer.hasBias: break
    case .convolution(let layer) where !layer.hasBias: break
    default: return false
    }
    guard let only = names[index], only.count == 1 else { return false }
    return users[only[0]] == 1
  }

  private mutating func addBias(_ node: ONNXNode, _ input: Image, _ values: [Float]) throws {
    setBias(input.layer, values)
    set(node, .image(input))
  }

  /// Gives the layer a bias.
  mutating func setBias(_ index: Int, _ values: [Float]) {
    switch draft[index].operation {
    case .dense(var layer):
      layer.hasBias = true
      draft[index].operation = .dense(layer)
    case .convolution(var layer):
      layer.hasBias = true
      draft[index].operation = .convolution(layer)
    default: return
    }
    draft[index].tensors["bias"] = Tensor(values, shape: [values.count])
  }

  mutating func concatenation(_ node: ONNXNode) throws {
    guard !node.inputs.isEmpty else { throw failure(node, "nothing to concatenate") }
    if let extents = extentsOfAll(node) {
      return set(node, .extents(extents))
    }
    let images = try node.inputs.indices.map { try image(node, $0) }
    let axis = node.integer("axis") ?? 1
    let expected: Int
    switch images[0].layout {
    case .channelsFirst: expected = 1
    case .channelsLast: expected = 3
    default: throw failure(node, "images are expected")
    }
    guard axis == expected || axis == expected - 4,
      images.allSatisfy({ $0.layout.isLike(images[0].layout) })
    else { throw failure(node, "images of one layout, joined by their channels, are expected") }
    guard images.count > 1 else { return set(node, .image(images[0])) }
    try set(node, .concatenate, images)
  }
}

extension ONNXImporter.Layout {
  /// Whether two values have their dimensions in the same order.
  func isLike(_ other: ONNXImporter.Layout) -> Bool {
    switch (self, other) {
    case (.channelsFirst, .channelsFirst), (.channelsLast, .channelsLast), (.row, .row): true
    case (.rowOfChannelsLast(let left), .rowOfChannelsLast(let right)): left == right
    default: false
    }
  }
}
