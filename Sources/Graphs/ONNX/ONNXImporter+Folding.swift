// SPDX-License-Identifier: Apache-2.0

import ThawCheckpoints
import ThawTensors

/// Arithmetic of stored arrays alone: what a learned query or a table of positions is made of, which exporters leave
/// in the graph. Numbers that are the same for every photo have a first dimension of 1 in place of the batch.
extension ONNXImporter {
  /// No array that is made here is larger, in elements; of products the number of multiplications.
  private static var foldingLimit: Int { 1 << 28 }

  /// Computes a node of constants; false when it is no such node.
  mutating func foldConstants(_ node: ONNXNode) throws -> Bool {
    guard node.domain.isEmpty || node.domain == "ai.onnx", let first = node.inputs.first,
      case .constant(let tensor)? = values[first], tensor.elementType.isFloatingPoint
    else { return false }
    switch node.operation {
    case "Add", "Sub", "Mul", "Div", "MatMul":
      guard node.inputs.count == 2, case .constant(let other)? = values[node.inputs[1]],
        other.elementType.isFloatingPoint
      else { return false }
      let (left, right) = (try numbers(tensor), try numbers(other))
      let result =
        node.operation == "MatMul"
        ? product(left, right) : combined(left, right, node.operation)
      guard let result else {
        throw failure(
          node, "constants of \(left.shape) and \(right.shape) do not fit each other")
      }
      guard result.elements.allSatisfy(\.isFinite) else {
        throw failure(node, "its numbers are not finite")
      }
      setConstant(node, result)
    case "Gather": return try gatherRows(node, tensor)
    case "Tile":
      guard let repeats = node.inputs.count > 1 ? extentsValue(node.inputs[1]) : nil else {
        return false
      }
      let isOnce = repeats.enumerated().allSatisfy { place, extent in
        extent == .size(1) || place == 0 && extent == .batch && tensor.shape.extents.first == 1
      }
      guard isOnce, repeats.count == tensor.shape.rank else { return false }
      try identity(node)
    default: return false
    }
    return true
  }

  private mutating func setConstant(_ node: ONNXNode, _ tensor: Tensor<Float>) {
    set(node, .constant(StoredTensor(node.outputs.first ?? "", tensor)))
  }

  /// Rows of a table at constant places.
  private mutating func gatherRows(_ node: ONNXNode, _ table: StoredTensor) throws -> Bool {
    guard node.integer("axis") ?? 0 == 0, node.inputs.count == 2, table.shape.rank >= 2,
      case .constant(let stored)? = values[node.inputs[1]], let places = try stored.smallIntegers()
    else { return false }
    let (rows, width) = (table.shape[0], table.shape.count / max(table.shape[0], 1))
    let own = places.map { $0 < 0 ? $0 + rows : $0 }
    guard own.allSatisfy((0..<rows).contains), places.count * width <= Self.foldingLimit else {
      throw failure(node, "a table of \(rows) rows has no such places")
    }
    let numbers = try numbers(table).elements
    let shape = Shape(stored.shape.extents + table.shape.extents.dropFirst())
    setConstant(
      node, Tensor(own.flatMap { numbers[$0 * width..<($0 + 1) * width] }, shape: shape))
    return true
  }

  /// [..., m, k] times [k, n]; nil where they do not fit.
  private func product(_ left: Tensor<Float>, _ right: Tensor<Float>) -> Tensor<Float>? {
    guard right.shape.rank == 2, let inner = left.shape.extents.last, inner == right.shape[0],
      inner > 0, left.count <= Self.foldingLimit / max(right.shape[1], 1)
    else { return nil }
    let (rows, columns) = (left.count / inner, right.shape[1])
    let (x, y) = (left.elements, right.elements)
    var result: [Float] = []
    for row in 0..<rows {
      var sums = [Double](repeating: 0, count: columns)
      for place in 0..<inner {
        let factor = Double(x[row * inner + place])
        for column in 0..<columns { sums[column] += factor * Double(y[place * columns + column]) }
      }
      result += sums.map { Float($0) }
    }
    return Tensor(result, shape: Shape(left.shape.extents.dropLast() + [columns]))
  }

  /// Element by element, the shorter shape filled up with ones in front and ones repeated; nil where they do not
  /// fit.
  private func combined(
    _ left: Tensor<Float>, _ right: Tensor<Float>, _ operation: String
  ) -> Tensor<Float>? {
    let rank = max(left.shape.rank, right.shape.rank)
    func filled(_ shape: Shape) -> [Int] {
      [Int](repeating: 1, count: rank - shape.rank) + shape.extents
    }
    let (first, second) = (filled(left.shape), filled(right.shape))
    var extents: [Int] = []
    for (one, other) in zip(first, second) {
      guard one == other || one == 1 || other == 1 else { return nil }
      extents.append(one == 1 ? other : one)
    }
    let count = extents.reduce(1) { $0.multipliedReportingOverflow(by: $1).partialValue }
    guard (0...Self.foldingLimit).contains(count) else { return nil }
    let (x, y) = (left.elements, right.elements)
    let elements = (0..<count).map { index in
      let a = x[place(of: index, in: extents, stored: first)]
      let b = y[place(of: index, in: extents, stored: second)]
      return switch operation {
      case "Add": a + b
      case "Sub": a - b
      case "Mul": a * b
      default: a / b
      }
    }
    return Tensor(elements, shape: Shape(extents))
  }

  /// Where the element that is `index` of `extents` lies in an array that repeats along dimensions of 1.
  private func place(of index: Int, in extents: [Int], stored: [Int]) -> Int {
    var (rest, stride, result) = (index, 1, 0)
    for axis in extents.indices.reversed() {
      if stored[axis] > 1 { result += rest % extents[axis] * stride }
      rest /= extents[axis]
      stride *= stored[axis]
    }
    return result
  }
}
