// SPDX-License-Identifier: Apache-2.0

import ThawCheckpoints
import ThawNetwork
import ThawTensors

extension ONNXExporter {
  /// ONNX normalises over the last dimensions: an image goes through channels-last and back.
  mutating func addLayerNormalization(
    _ node: Node, _ layer: LayerNormalization, _ input: String
  ) throws -> String {
    let weights = [try parameter(node, "weight"), try parameter(node, "bias")]
    let attributes: [String: ONNXAttribute] = [
      "axis": .integer(-1), "epsilon": .float(Float(layer.epsilon)),
    ]
    guard shapes[node.id.index].rank == 4 else {
      return emit("LayerNormalization", node, [input] + weights, attributes)
    }
    let last = step("Transpose", node, "last", [input], ["perm": .integers([0, 2, 3, 1])])
    let normal = step("LayerNormalization", node, "normalised", [last] + weights, attributes)
    return emit("Transpose", node, [normal], ["perm": .integers([0, 3, 1, 2])])
  }

  /// x + bias + weight * x * g / (mean of g + epsilon), g the norm of each channel.
  mutating func addResponseNormalization(
    _ node: Node, _ layer: ResponseNormalization, _ input: String
  ) throws -> String {
    let extents: Shape = [layer.channels, 1, 1]
    let (weight, bias) = (
      try parameter(node, "weight", shape: extents), try parameter(node, "bias", shape: extents)
    )
    let norms = step(
      "ReduceL2", node, "norms", [input], ["axes": .integers([2, 3]), "keepdims": .integer(1)])
    let mean = step(
      "ReduceMean", node, "mean", [norms], ["axes": .integers([1]), "keepdims": .integer(1)])
    let shifted = step(
      "Add", node, "shifted", [mean, constant("\(node.path).epsilon", layer.epsilon)])
    let share = step("Div", node, "share", [norms, shifted])
    let product = step("Mul", node, "product", [input, share])
    let scaled = step("Mul", node, "scaled", [product, weight])
    let moved = step("Add", node, "moved", [scaled, bias])
    return emit("Add", node, [input, moved])
  }

  /// x * (1 + erf(x / sqrt(2))) / 2 in the form that ONNX Runtime recognises; the operation set has
  /// no operation for it yet.
  mutating func addGELU(_ node: Node, _ input: String) -> String {
    let scaled = step(
      "Div", node, "scaled", [input, constant("constant.sqrt2", 2.0.squareRoot())])
    let erf = step("Erf", node, "erf", [scaled])
    let sum = step("Add", node, "sum", [erf, constant("constant.1", 1)])
    let product = step("Mul", node, "product", [input, sum])
    return emit("Mul", node, [product, constant("constant.half", 0.5)])
  }

  /// x / 2 * (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))).
  mutating func addTanhGELU(_ node: Node, _ input: String) -> String {
    let square = step("Mul", node, "square", [input, input])
    let cube = step("Mul", node, "cube", [square, input])
    let small = step("Mul", node, "small", [cube, constant("constant.0.044715", 0.044715)])
    let inner = step("Add", node, "inner", [input, small])
    let factor = constant("constant.sqrt2overpi", (2 / Double.pi).squareRoot())
    let tanh = step("Tanh", node, "tanh", [step("Mul", node, "argument", [inner, factor])])
    let sum = step("Add", node, "sum", [tanh, constant("constant.1", 1)])
    let product = step("Mul", node, "product", [input, sum])
    return emit("Mul", node, [product, constant("constant.half", 0.5)])
  }

  /// Windows of one size are an average pooling; others are a product with the matrix of each
  /// direction's means, from both sides.
  mutating func addAdaptivePooling(_ node: Node, _ target: Extent2D, _ input: String) -> String {
    let shape = shapes[node.inputs[0].index]
    let (rows, columns) = (shape[2], shape[3])
    if rows == target.height && columns == target.width { return emit("Identity", node, [input]) }
    if rows.isMultiple(of: target.height) && columns.isMultiple(of: target.width) {
      let kernel = ONNXAttribute.integers([rows / target.height, columns / target.width])
      return emit("AveragePool", node, [input], ["kernel_shape": kernel, "strides": kernel])
    }
    let left = constant("\(node.path).rows", means(rows, target.height))
    let right = constant("\(node.path).columns", means(columns, target.width).transposed)
    let half = step("MatMul", node, "vertical", [left, input])
    return emit("MatMul", node, [half, right])
  }

  /// Shapes: result [outputs, inputs]; row i averages from floor(i * n / o) up to ceil((i + 1) * n / o).
  private func means(_ inputs: Int, _ outputs: Int) -> Tensor<Float> {
    Tensor(shape: [outputs, inputs]) { elements in
      for output in 0..<outputs {
        let start = output * inputs / outputs
        let end = ((output + 1) * inputs + outputs - 1) / outputs
        for input in start..<end { elements[output * inputs + input] = 1 / Float(end - start) }
      }
    }
  }
}

extension Tensor<Float> {
  var transposed: Tensor<Float> {
    let (rows, columns) = (shape[0], shape[1])
    return Tensor(shape: [columns, rows]) { target in
      for row in 0..<rows {
        for column in 0..<columns { target[column * rows + row] = self[row * columns + column] }
      }
    }
  }
}
