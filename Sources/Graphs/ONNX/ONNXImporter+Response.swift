// SPDX-License-Identifier: Apache-2.0

import ThawCheckpoints
import ThawNetwork
import ThawTensors

/// Response normalisation, which no operation set has: a file spells it out, x + bias + weight * x * g / (mean
/// of g + epsilon), with g the Euclidean norm of each channel.
///
/// Each value on the way is known by how far it has come, so the order of the factors and terms, and the
/// exporter, make no difference.
extension ONNXImporter {
  /// A value on the way from an image to its response normalisation.
  struct Response {
    enum Stage {
      /// g.
      case norms
      /// The mean of g over the channels, plus a number.
      case mean(epsilon: Double)
      /// The first divided by the second.
      case share(epsilon: Double)
      /// x times that, times a number a channel, plus a number a channel.
      case product(epsilon: Double, scale: [Float], shift: [Float], weight: String?)
    }

    let image: Image
    let stage: Stage
  }

  /// Translates a node on that way; false for any other.
  mutating func translateResponse(_ node: ONNXNode) throws -> Bool {
    if node.operation == "ReduceL2" {
      try norms(node)
      return true
    }
    let responses = node.inputs.compactMap { name -> Response? in
      if case .response(let response)? = values[name] { response } else { nil }
    }
    guard let first = responses.first, !["Identity", "Dropout"].contains(node.operation) else {
      return false
    }
    let next: Response.Stage?
    switch (node.operation, first.stage) {
    case ("ReduceMean", .norms): next = try mean(node, first)
    case ("Add", .mean(let epsilon)):
      next = try number(node, beside: first).map { .mean(epsilon: epsilon + $0) }
    case ("Div", .norms) where responses.count == 2:
      guard case .mean(let epsilon) = responses[1].stage, epsilon > 0 else { return try lost(node) }
      next = responses[1].image.layer == first.image.layer ? .share(epsilon: epsilon) : nil
    case ("Mul", .share(let epsilon)):
      let channels = draft[first.image.layer].shape[1]
      next =
        hasImage(node, of: first)
        ? .product(
          epsilon: epsilon, scale: [Float](repeating: 1, count: channels),
          shift: [Float](repeating: 0, count: channels), weight: nil) : nil
    case ("Mul", .product), ("Add", .product):
      if node.operation == "Add", hasImage(node, of: first) { return try normalize(node, first) }
      next = try scaled(node, first)
    default: next = nil
    }
    guard let next else { return try lost(node) }
    set(node, .response(Response(image: first.image, stage: next)))
    return true
  }

  private func lost(_ node: ONNXNode) throws -> Bool {
    throw failure(
      node,
      "norms of channels are known here as a part of ConvNeXt V2's response normalisation alone, and this"
        + " is none: x + bias + weight * x * g / (mean of g + epsilon)")
  }

  private mutating func norms(_ node: ONNXNode) throws {
    let input = try image(node)
    guard try reducesPixels(node, of: input), keepsDimensions(node) else {
      throw failure(node, "a norm over the height and the width of an image is expected")
    }
    set(node, .response(Response(image: input, stage: .norms)))
  }

  private mutating func mean(
    _ node: ONNXNode, _ response: Response
  ) throws -> Response.Stage? {
    guard try reducesChannels(node, of: response.image), keepsDimensions(node) else { return nil }
    return .mean(epsilon: 0)
  }

  /// The one number that a node has beside a response.
  private mutating func number(
    _ node: ONNXNode, beside response: Response
  ) throws -> Double? {
    guard let tensor = try constantBeside(node), tensor.shape.count == 1 else { return nil }
    return try numbers(tensor)[0].asWritten
  }

  private func constantBeside(_ node: ONNXNode) throws -> StoredTensor? {
    for name in node.inputs {
      if case .constant(let tensor)? = values[name] { return tensor }
    }
    return nil
  }

  /// Whether a node has, beside a response, the image that it is of.
  private func hasImage(_ node: ONNXNode, of response: Response) -> Bool {
    node.inputs.contains { name in
      guard case .image(let image)? = values[name] else { return false }
      return image.layer == response.image.layer && image.padding == nil
    }
  }

  private mutating func scaled(
    _ node: ONNXNode, _ response: Response
  ) throws -> Response.Stage? {
    guard case .product(let epsilon, var scale, var shift, var weight) = response.stage,
      let tensor = try constantBeside(node)
    else { return nil }
    let values = try perChannel(node, tensor, response.image)
    if node.operation == "Mul" {
      scale = zip(scale, values).map(*)
      shift = zip(shift, values).map(*)
      if tensor.shape.count > 1 { weight = tensor.name }
    } else {
      shift = zip(shift, values).map(+)
    }
    return .product(epsilon: epsilon, scale: scale, shift: shift, weight: weight)
  }

  /// The end of the way: the image itself is added.
  private mutating func normalize(_ node: ONNXNode, _ response: Response) throws -> Bool {
    guard case .product(let epsilon, let scale, let shift, let weight) = response.stage else {
      return try lost(node)
    }
    let channels = scale.count
    try set(
      node,
      .responseNormalization(ResponseNormalization(channels: channels, epsilon: epsilon)),
      [response.image],
      ["weight": Tensor(scale, shape: [channels]), "bias": Tensor(shift, shape: [channels])],
      weight: weight)
    return true
  }
}
