// SPDX-License-Identifier: Apache-2.0

import ThawCheckpoints
import ThawTensors

/// Arithmetic of constants alone, which exporters leave in a file: extents, and square roots of them.
extension ONNXImporter {
  /// Computes a node that depends on no photo; false when it is no such node.
  mutating func constantArithmetic(_ node: ONNXNode) throws -> Bool {
    guard
      ["Add", "Sub", "Mul", "Div", "Mod", "Equal", "Where", "Sqrt", "ConstantOfShape"].contains(
        node.operation), node.domain.isEmpty
    else { return false }
    if node.operation == "ConstantOfShape" { return try constantOfShape(node) }
    // What depends on the batch alone: exporters choose between it and -1.
    for name in node.inputs {
      guard case .extents(let list)? = values[name], list.contains(.batch) else { continue }
      guard node.inputs.allSatisfy({ extentsValue($0) != nil }) else { return false }
      set(node, .extents(node.operation == "Where" ? list : list.map { _ in .size(-1) }))
      return true
    }
    var inputs: [(numbers: [Double], isWhole: Bool)] = []
    for name in node.inputs {
      guard let known = try smallNumbers(name) else { return false }
      inputs.append(known)
    }
    let count = inputs.map(\.numbers.count).max() ?? 0
    guard inputs.allSatisfy({ $0.numbers.count == count || $0.numbers.count == 1 }), count > 0
    else {
      return false
    }
    let results = (0..<count).map { index in
      compute(node.operation, inputs.map { $0.numbers[$0.numbers.count == 1 ? 0 : index] })
    }
    let isWhole = inputs.allSatisfy(\.isWhole) && node.operation != "Sqrt"
    guard results.allSatisfy(\.isFinite) else { throw failure(node, "it divides by zero") }
    if isWhole {
      guard results.allSatisfy({ abs($0) < 1e15 }) else {
        throw failure(node, "its numbers are too large for extents")
      }
      set(node, .extents(results.map { .size(Int($0)) }))
    } else {
      let shape: Shape = count == 1 ? [] : [count]
      set(
        node,
        .constant(
          StoredTensor(node.outputs.first ?? "", Tensor(results.map { Float($0) }, shape: shape))))
    }
    return true
  }

  /// Cuts a constant into several along a dimension, as exporters leave tables that were stored as one; false
  /// when it is no such node.
  mutating func splitConstant(_ node: ONNXNode) throws -> Bool {
    guard node.operation == "Split", node.domain.isEmpty, let name = node.inputs.first,
      case .constant(let stored)? = values[name]
    else { return false }
    let whole = try numbers(stored)
    let rank = whole.shape.rank
    let given = node.integer("axis") ?? 0
    let axis = given < 0 ? given + rank : given
    guard axis >= 0, axis < rank else {
      throw failure(node, "a tensor of \(rank) dimensions has no \(given)")
    }
    let (extents, extent) = (whole.shape.extents, whole.shape[axis])
    let outputs = node.outputs.count
    var sizes = node.integers("split")
    if node.inputs.count > 1, case .constant(let list)? = values[node.inputs[1]] {
      sizes = try list.smallIntegers()
    }
    // Equal parts, of which the last may be smaller.
    let step = (extent + outputs - 1) / max(outputs, 1)
    let parts = sizes ?? (0..<outputs).map { min(step, extent - $0 * step) }
    guard parts.count == outputs, parts.allSatisfy({ $0 > 0 }), parts.reduce(0, +) == extent else {
      throw failure(node, "\(extent) cannot be cut into \(parts)")
    }
    let inner = extents[(axis + 1)...].reduce(1, *)
    let outer = extents[..<axis].reduce(1, *)
    var first = 0
    for (output, size) in zip(node.outputs, parts) {
      let elements = (0..<outer).flatMap { row in
        let start = (row * extent + first) * inner
        return whole.elements[start..<(start + size * inner)]
      }
      var shape = extents
      shape[axis] = size
      values[output] = .constant(StoredTensor(output, Tensor(elements, shape: Shape(shape))))
      first += size
    }
    return true
  }

  private func compute(_ operation: String, _ x: [Double]) -> Double {
    switch (operation, x.count) {
    case ("Add", 2): x[0] + x[1]
    case ("Sub", 2): x[0] - x[1]
    case ("Mul", 2): x[0] * x[1]
    case ("Div", 2): x[0] / x[1]
    case ("Mod", 2): x[0].truncatingRemainder(dividingBy: x[1])
    case ("Equal", 2): x[0] == x[1] ? 1 : 0
    case ("Where", 3): x[0] != 0 ? x[1] : x[2]
    case ("Sqrt", 1): x[0].squareRoot()
    default: .nan
    }
  }

  /// A short list of numbers; nil when the value is none.
  private mutating func smallNumbers(
    _ name: String
  ) throws -> (numbers: [Double], isWhole: Bool)? {
    switch values[name] {
    case .extents(let list)?:
      var numbers: [Double] = []
      for case .size(let size) in list { numbers.append(Double(size)) }
      return numbers.count == list.count && numbers.allSatisfy { abs($0) < 1e15 }
        ? (numbers, true) : nil
    case .constant(let tensor)? where tensor.shape.count <= 64 && tensor.shape.rank <= 1:
      if let whole = try tensor.smallIntegers() { return (whole.map(Double.init), true) }
      guard tensor.elementType.isFloatingPoint else { return nil }
      return (try numbers(tensor).elements.map(Double.init), false)
    default: return nil
    }
  }

  private mutating func constantOfShape(_ node: ONNXNode) throws -> Bool {
    guard let name = node.inputs.first, let list = extentsValue(name), list.count == 1,
      case .size(let count) = list[0], (0...64).contains(count)
    else { return false }
    var value = 0
    if case .tensor(let tensor)? = node.attributes["value"] {
      guard let whole = try tensor.smallIntegers(), whole.count == 1 else { return false }
      value = whole[0]
    }
    set(node, .extents([Extent](repeating: .size(value), count: count)))
    return true
  }
}
