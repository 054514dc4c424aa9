// SPDX-License-Identifier: Apache-2.0

import ThawCheckpoints
import ThawNetwork
import ThawTensors

extension KerasImporter {
  /// What the functions of one number are called by Keras.
  private static let functions: [String: Activation] = [
    "relu": .relu, "relu6": .relu6, "swish": .silu, "silu": .silu, "sigmoid": .sigmoid,
    "gelu": .gelu, "hard_swish": .hardSwish, "hard_silu": .hardSwish, "hard_sigmoid": .hardSigmoid,
  ]

  /// `image` with the activation that `layer` names.
  mutating func activated(_ image: Image, _ layer: KerasLayerDescription) throws -> Value {
    try activated(image, layer, by: layer["activation"])
  }

  private mutating func activated(
    _ image: Image, _ layer: KerasLayerDescription, by activation: JSONValue?
  ) throws -> Value {
    guard let activation, activation != .null else { return .image(image) }
    if case .object = activation, let inner = KerasLayerDescription(activation, in: layer.names),
      inner.className != "function"
    {
      return try function(inner, .image(image), of: layer)
    }
    let name = activation.text ?? activation["config"]?.text ?? "a function of its author's"
    return try activated(image, layer, named: name)
  }

  /// - Parameter name: Keras's name of a function.
  mutating func activated(
    _ image: Image, _ layer: KerasLayerDescription, named name: String
  ) throws -> Value {
    switch name {
    case "linear", "identity": return .image(image)
    // The logarithm of a softmax is made of the same logits, and the same probabilities are of it.
    case "softmax", "log_softmax":
      let shape = shape(image)
      guard shape.rank == 2 || shape[2] * shape[3] == 1 else {
        throw failure(layer, "a softmax at each pixel is no classifier's")
      }
      return .probabilities(image)
    case "hard_sigmoid": return try hardSigmoid(image, layer)
    default:
      guard let function = KerasImporter.functions[name] else {
        throw failure(
          layer,
          "networks here have no activation '\(Printable(name))', only"
            + " \(KerasImporter.functions.keys.sorted().joined(separator: ", ")) and softmax")
      }
      let isOwnLayer = layer.isActivation
      return .image(
        try add(layer, suffix: isOwnLayer ? "" : "_\(name)", .activation(function), [image]))
    }
  }

  /// Keras 3's function is x / 6 + 0.5 between 0 and 1; Keras 2's is 0.2 x + 0.5, which is the other one of
  /// 1.2 x.
  ///
  /// - Source: keras, src/activations/activations.py; tf_keras, src/activations.py.
  private mutating func hardSigmoid(
    _ image: Image, _ layer: KerasLayerDescription
  ) throws -> Value {
    guard let version = kerasMajor
    else {
      throw failure(
        layer,
        "its hard_sigmoid is 0.2 x + 0.5 between 0 and 1 in Keras 2 and x / 6 + 0.5 in Keras 3, and the"
          + " file does not say which Keras wrote it. Load it in that Keras and save it again:"
          + " model.save(\"model.keras\")")
    }
    var input = image
    if version < 3 { input = try scaled(layer, image, by: 1.2) }
    let suffix = layer.isActivation ? "" : "_hard_sigmoid"
    return .image(try add(layer, suffix: suffix, .activation(.hardSigmoid), [input]))
  }

  /// `image` times one number, whether it is an image or a row.
  private mutating func scaled(
    _ layer: KerasLayerDescription, _ image: Image, by factor: Float
  ) throws -> Image {
    let shape = shape(image)
    let factors = [Float](repeating: factor, count: shape[1])
    if shape.rank == 4 {
      return try add(
        layer, suffix: "_slope", .channelScale(ChannelScale(channels: shape[1])), [image],
        ["weight": Tensor(factors, shape: [shape[1], 1, 1])])
    }
    // Statistics that change nothing: y = factor * (x - 0) / sqrt(1 + 0).
    return try add(
      layer, suffix: "_slope",
      .batchNormalization(BatchNormalization(channels: shape[1], epsilon: 0)),
      [image],
      [
        "weight": Tensor(factors, shape: [shape[1]]), "bias": Tensor(zeros: [shape[1]]),
        "running_mean": Tensor(zeros: [shape[1]]),
        "running_var": Tensor([Float](repeating: 1, count: shape[1]), shape: [shape[1]]),
      ])
  }

  /// `Activation`, and the layers that are a function.
  mutating func activation(_ layer: KerasLayerDescription, _ operands: KerasOperands) throws
    -> Value
  {
    let value = try only(operands, layer)
    guard layer.className == "Activation" else { return try function(layer, value, of: layer) }
    return try activated(try image(value, layer), layer, by: layer["activation"])
  }

  /// - Parameter owner: the layer that has the function, for names.
  private mutating func function(
    _ layer: KerasLayerDescription, _ value: Value, of owner: KerasLayerDescription
  ) throws -> Value {
    let image = try image(value, layer)
    switch layer.className {
    case "ReLU":
      let slope = (layer["negative_slope"] ?? .integer(0)).kerasNumbers
      let threshold = (layer["threshold"] ?? .integer(0)).kerasNumbers
      guard slope == [0], threshold == [0] else {
        throw failure(
          layer, "a ReLU with a slope below zero or a threshold is not known here")
      }
      switch layer["max_value"]?.kerasNumbers {
      case nil: return try activated(image, owner, named: "relu")
      case [6]?: return try activated(image, owner, named: "relu6")
      default: throw failure(layer, "a ReLU is cut off at 6 or not at all here")
      }
    case "Softmax":
      let axis = layer["axis"]
      guard axis == nil || axis == .integer(-1) || axis == .array([.integer(-1)]) else {
        throw failure(layer, "a softmax over the classes, axis -1, is expected")
      }
      return try activated(image, owner, named: "softmax")
    default: return try activated(image, owner, named: layer.className)
    }
  }

  mutating func dropout(_ layer: KerasLayerDescription, _ operands: KerasOperands) throws -> Value {
    let value = try only(operands, layer)
    guard let rate = (layer["rate"] ?? layer["drop_path_rate"] ?? .number(0.5)).double, rate >= 0,
      rate < 1
    else { throw failure(layer, "its rate is not in 0 to 1") }
    let input = try image(value, layer, paddingAllowed: true)
    guard rate > 0, input.padding == nil else { return value }
    if layer.className == "StochasticDepth" {
      return .image(try add(layer, .stochasticDepth(probability: rate), [input]))
    }
    guard layer.className == "Dropout" else {
      notes.append("\(layer.displayed) works in training alone and is left out")
      return value
    }
    if let shape = layer["noise_shape"] {
      // EfficientNet drops whole branches: [None, 1, 1, 1].
      guard shape.elements?.dropFirst().allSatisfy({ $0 == .integer(1) }) == true else {
        notes.append("\(layer.displayed) works in training alone and is left out")
        return value
      }
      return .image(try add(layer, .stochasticDepth(probability: rate), [input]))
    }
    return .image(try add(layer, .dropout(probability: rate), [input]))
  }

  // MARK: Joins

  mutating func sum(_ layer: KerasLayerDescription, _ operands: KerasOperands) throws -> Value {
    let inputs = try operands.values.map { try image($0, layer) }
    guard var total = inputs.first, inputs.count >= 2 else {
      throw failure(layer, "it adds two values or more, found \(inputs.count)")
    }
    for (index, next) in inputs.enumerated().dropFirst() {
      guard shape(total) == shape(next) else {
        throw failure(layer, "its inputs are \(shape(total)) and \(shape(next))")
      }
      guard total.grid == next.grid else {
        throw failure(
          layer,
          "its inputs have the same length, but one is a flattened image and the other is none, or one"
            + " of another shape: their order is not kept")
      }
      total = try add(layer, suffix: index == 1 ? "" : "_\(index)", .add, [total, next])
    }
    return .image(total)
  }

  /// A product of two images: the gates of squeeze-and-excitation, or x * sigmoid(x).
  mutating func product(_ layer: KerasLayerDescription, _ operands: KerasOperands) throws -> Value {
    let inputs = try operands.values.map { try image($0, layer) }
    guard inputs.count == 2 else {
      throw failure(layer, "it multiplies \(inputs.count) values, two are known here")
    }
    if let swish = draft.swish(inputs[0].layer, inputs[1].layer) {
      let image = try add(layer, .activation(swish.function), [Image(swish.of)])
      let factor = Double(swish.factor)
      return factor == 1
        ? .image(image) : try affine(layer, .image(image), scale: [factor], offset: [0])
    }
    for (left, right) in [(inputs[0], inputs[1]), (inputs[1], inputs[0])] {
      if shape(left).rank == 4, shape(right) == [1, shape(left)[1], 1, 1] {
        return .image(try add(layer, .gate, [left, right]))
      }
    }
    throw failure(
      layer, "a product of \(shape(inputs[0])) and \(shape(inputs[1])) is not known here")
  }

  mutating func concatenation(_ layer: KerasLayerDescription, _ operands: KerasOperands) throws
    -> Value
  {
    let inputs = try operands.values.map { try image($0, layer) }
    guard let first = inputs.first else { throw failure(layer, "nothing to concatenate") }
    guard inputs.count > 1 else { return .image(first) }
    let rank = shape(first).rank
    let axis = (layer["axis"] ?? .integer(-1)).integer ?? 0
    guard axis == -1 || axis == rank - 1, inputs.allSatisfy({ shape($0).rank == rank }) else {
      throw failure(layer, "only channels are joined here, along the last axis")
    }
    if rank == 4 { return .image(try add(layer, .concatenate, inputs)) }
    // Rows of pooled features: the images of one pixel that they were are joined.
    let images = try inputs.map { row -> Image in
      guard case .flatten = draft[row.layer].operation, row.grid == nil,
        let source = draft[row.layer].inputs.first
      else { throw failure(layer, "rows that a layer has computed are not joined here") }
      return Image(source)
    }
    let joined = try add(layer, .concatenate, images)
    return .image(try add(layer, suffix: "_flatten", .flatten, [joined]))
  }

  /// x[0] + x[1] * scale, Inception-ResNet's.
  mutating func scaledSum(_ layer: KerasLayerDescription, _ operands: KerasOperands) throws -> Value
  {
    let inputs = try operands.values.map { try image($0, layer) }
    guard inputs.count == 2, let scale = layer["scale"]?.double, shape(inputs[1]).rank == 4 else {
      throw failure(layer, "two images and a scale are expected")
    }
    let channels = shape(inputs[1])[1]
    let factors = Tensor<Float>(
      [Float](repeating: Float(scale), count: channels), shape: [channels, 1, 1])
    let scaled = try add(
      layer, suffix: "_scale", .channelScale(ChannelScale(channels: channels)), [inputs[1]],
      ["weight": factors])
    return .image(try add(layer, .add, [inputs[0], scaled]))
  }

  /// ConvNeXt's scale of each channel.
  mutating func layerScale(_ layer: KerasLayerDescription, _ operands: KerasOperands) throws
    -> Value
  {
    let input = try image(operands, layer)
    let shape = shape(input)
    let gamma = try needed(layer, "gamma", "layer_scale", "0", "variable")
    guard shape.rank == 4, gamma.shape.count == shape[1] else {
      throw failure(layer, "a scale of \(gamma.shape) does not fit \(shape)")
    }
    return .image(
      try add(
        layer, .channelScale(ChannelScale(channels: shape[1])), [input],
        from: ["weight": gamma.reshaped([shape[1], 1, 1])]))
  }
}

extension KerasLayerDescription {
  /// Whether the layer is nothing but a function of one number.
  var isActivation: Bool { ["Activation", "ReLU", "Softmax"].contains(className) }
}
