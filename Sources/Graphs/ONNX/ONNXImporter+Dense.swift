// SPDX-License-Identifier: Apache-2.0

import ThawCheckpoints
import ThawNetwork
import ThawTensors

extension ONNXImporter {
  mutating func gemm(_ node: ONNXNode) throws {
    let input = try image(node)
    let (alpha, beta) = (node.float("alpha") ?? 1, node.float("beta") ?? 1)
    guard node.integer("transA") ?? 0 == 0, let weight = try constant(node, 1) else {
      throw failure(node, "rows times a constant matrix are expected")
    }
    let isTransposed = node.integer("transB") ?? 0 != 0
    var bias = try constant(node, 2)
    if beta == 0 { bias = nil }
    try dense(node, input, weight, isTransposed: isTransposed, bias, factors: (alpha, beta))
  }

  mutating func product(_ node: ONNXNode) throws {
    let input = try image(node)
    guard let weight = try constant(node, 1) else {
      throw failure(node, "rows times a constant matrix are expected")
    }
    let shape = draft[input.layer].shape
    guard case .channelsLast = input.layout, weight.shape.rank == 2, weight.shape[0] == shape[1],
      weight.shape[1] > 0
    else { return try dense(node, input, weight, isTransposed: false, nil, factors: (1, 1)) }
    // A product at each pixel is a 1x1 convolution.
    let layer = Convolution2D(
      inputs: shape[1], outputs: weight.shape[1], window: Window2D(kernel: 1), storesMatrix: true)
    let matrix = try rows(weight, isTransposed: false)
    try set(node, .convolution(layer), [input], ["weight": matrix], weight: weight.name)
  }

  /// A product with a matrix that is [outputs, inputs] when transposed, [inputs, outputs] otherwise.
  private mutating func dense(
    _ node: ONNXNode, _ input: Image, _ weight: StoredTensor, isTransposed: Bool,
    _ bias: StoredTensor?, factors: (weight: Float, bias: Float)
  ) throws {
    let shape = draft[input.layer].shape
    guard shape.rank == 2, weight.shape.rank == 2, weight.shape.count > 0 else {
      throw failure(
        node, "a row [N, F] times a matrix is expected, found \(shape) and \(weight.shape)")
    }
    let (outputs, inputs) =
      isTransposed ? (weight.shape[0], weight.shape[1]) : (weight.shape[1], weight.shape[0])
    guard inputs == shape[1] else {
      throw failure(node, "\(shape[1]) features do not fit a matrix of \(weight.shape)")
    }
    var matrix = try rows(weight, isTransposed: isTransposed)
    if case .rowOfChannelsLast(let image) = input.layout { matrix = matrix.reordered(from: image) }
    if factors.weight != 1 { matrix = matrix.scaled(by: factors.weight) }
    var tensors = ["weight": matrix]
    if let bias {
      guard bias.shape.count == outputs || bias.shape.count == 1 else {
        throw failure(node, "a bias of \(bias.shape) does not fit \(outputs) outputs")
      }
      let values = try numbers(bias).elements
      let all = values.count == 1 ? [Float](repeating: values[0], count: outputs) : values
      tensors["bias"] = Tensor(all.map { $0 * factors.bias }, shape: [outputs])
    }
    let layer = Dense(inputs: inputs, outputs: outputs, hasBias: bias != nil)
    var row = input
    row.layout = .row
    try set(node, .dense(layer), [row], tensors, weight: weight.name)
  }

  /// A matrix as [outputs, inputs]; made once for each constant.
  mutating func rows(_ weight: StoredTensor, isTransposed: Bool) throws -> Tensor<Float> {
    let matrix = try numbers(weight)
    if isTransposed { return matrix }
    let key = weight.name + "\u{0}transposed"
    if let known = floats[key] { return known }
    let result = matrix.transposedMatrix
    if !weight.name.isEmpty { floats[key] = result }
    return result
  }
}

extension Tensor<Float> {
  /// [a, b] as [b, a].
  fileprivate var transposedMatrix: Tensor<Float> {
    let (rows, columns) = (shape[0], shape[1])
    return withUnsafeElements { source in
      Tensor(shape: [columns, rows]) { target in
        for row in 0..<rows {
          for column in 0..<columns { target[column * rows + row] = source[row * columns + column] }
        }
      }
    }
  }

  fileprivate func scaled(by factor: Float) -> Tensor<Float> {
    Tensor(elements.map { $0 * factor }, shape: shape)
  }

  /// Columns for features in the order H, W, C brought into the order C, H, W of `image` [N, C, H, W].
  fileprivate func reordered(from image: Shape) -> Tensor<Float> {
    let (channels, pixels) = (image[1], image[2] * image[3])
    let columns = shape[1]
    return withUnsafeElements { source in
      Tensor(shape: shape) { target in
        for row in 0..<shape[0] {
          for channel in 0..<channels {
            for pixel in 0..<pixels {
              target[row * columns + channel * pixels + pixel] =
                source[row * columns + pixel * channels + channel]
            }
          }
        }
      }
    }
  }
}
