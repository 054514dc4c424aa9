// SPDX-License-Identifier: Apache-2.0

import Glibc
import ThawCheckpoints
import ThawNetwork
import ThawTensors

/// Places where a graph spells out GELU: x / sqrt(2), Erf, + 1, * x, * 1/2, the halving first or last; or with
/// Tanh of a polynomial in the place of Erf.
struct GELUPatterns {
  /// The value that goes in, by the position of the last node.
  private(set) var inputs: [Int: String] = [:]
  /// Which of the two it is, likewise.
  private(set) var functions: [Int: Activation] = [:]
  /// Positions of the nodes in between.
  private(set) var inner: Set<Int> = []

  private let nodes: [ONNXNode]
  private var producers: [String: Int] = [:]
  private var consumers: [String: [Int]] = [:]
  private let constants: [String: StoredTensor]

  init(_ nodes: [ONNXNode], _ initializers: [StoredTensor]) {
    self.nodes = nodes
    constants = Dictionary(
      initializers.map { ($0.name, $0) }, uniquingKeysWith: { first, _ in first })
    for (index, node) in nodes.enumerated() {
      for name in node.outputs { producers[name] = index }
      for name in node.inputs { consumers[name, default: []].append(index) }
    }
    for (index, node) in nodes.enumerated() where node.operation == "Erf" { match(index) }
    for (index, node) in nodes.enumerated() where node.operation == "Tanh" { matchTanh(index) }
  }

  private mutating func match(_ erf: Int) {
    guard let scaled = nodes[erf].inputs.first, let first = producers[scaled],
      consumers[scaled]?.count == 1, let input = source(of: first),
      let sum = onlyUser(of: erf), nodes[sum].operation == "Add",
      other(of: sum, than: nodes[erf].outputs[0]).flatMap(number) == 1,
      let product = onlyUser(of: sum), nodes[product].operation == "Mul",
      let factor = other(of: product, than: nodes[sum].outputs[0])
    else { return }
    if factor == input, let half = onlyUser(of: product), nodes[half].operation == "Mul",
      other(of: half, than: nodes[product].outputs[0]).flatMap(number) == 0.5
    {
      inputs[half] = input
      inner.formUnion([first, erf, sum, product])
    } else if let half = producers[factor], nodes[half].operation == "Mul",
      consumers[factor]?.count == 1, other(of: half, than: input).flatMap(number) == 0.5
    {
      inputs[product] = input
      inner.formUnion([first, erf, sum, half])
    }
  }

  /// The product is found from its end; what goes into the tangent is then computed for some numbers.
  private mutating func matchTanh(_ tanh: Int) {
    guard let argument = nodes[tanh].inputs.first, let sum = onlyUser(of: tanh),
      nodes[sum].operation == "Add",
      other(of: sum, than: nodes[tanh].outputs[0]).flatMap(number) == 1,
      let product = onlyUser(of: sum), nodes[product].operation == "Mul",
      let factor = other(of: product, than: nodes[sum].outputs[0])
    else { return }
    if let half = onlyUser(of: product), nodes[half].operation == "Mul",
      other(of: half, than: nodes[product].outputs[0]).flatMap(number) == 0.5,
      let between = isTanhArgument(argument, of: factor)
    {
      inputs[half] = factor
      functions[half] = .geluTanh
      inner.formUnion(between.union([tanh, sum, product]))
    } else if let half = producers[factor], nodes[half].operation == "Mul",
      let input = nodes[half].inputs.first(where: { number($0) == nil }),
      other(of: half, than: input).flatMap(number) == 0.5,
      let between = isTanhArgument(argument, of: input)
    {
      inputs[product] = input
      functions[product] = .geluTanh
      inner.formUnion(
        between.union([tanh, sum]).union(consumers[factor]?.count == 1 ? [half] : []))
    }
  }

  /// The nodes between, when the value is sqrt(2 / pi) (x + 0.044715 x^3).
  private func isTanhArgument(_ value: String, of x: String) -> Set<Int>? {
    var visited: Set<Int> = []
    for number in [-2.5, -0.75, 0.5, 3] {
      guard let found = evaluate(value, x, number, &visited, depth: 0) else { return nil }
      let expected = (2 / Double.pi).squareRoot() * (number + 0.044715 * number * number * number)
      guard abs(found - expected) < 1e-4 * abs(expected) else { return nil }
    }
    return visited
  }

  private func evaluate(
    _ value: String, _ x: String, _ number: Double, _ visited: inout Set<Int>, depth: Int
  ) -> Double? {
    if value == x { return number }
    if let constant = self.number(value) { return Double(constant) }
    guard depth < 8, let index = producers[value], nodes[index].inputs.count == 2,
      let left = evaluate(nodes[index].inputs[0], x, number, &visited, depth: depth + 1),
      let right = evaluate(nodes[index].inputs[1], x, number, &visited, depth: depth + 1)
    else { return nil }
    visited.insert(index)
    switch nodes[index].operation {
    case "Mul": return left * right
    case "Add": return left + right
    case "Pow": return pow(left, right)
    default: return nil
    }
  }

  /// x of x / sqrt(2).
  private func source(of index: Int) -> String? {
    let node = nodes[index]
    guard node.inputs.count == 2, let factor = number(node.inputs[1]) else { return nil }
    let expected: Float = node.operation == "Div" ? 1.414_213_5 : 0.707_106_77
    let isKnown = ["Div", "Mul"].contains(node.operation)
    return isKnown && abs(factor - expected) < 1e-4 ? node.inputs[0] : nil
  }

  private func onlyUser(of index: Int) -> Int? {
    guard let name = nodes[index].outputs.first, let users = consumers[name], users.count == 1
    else {
      return nil
    }
    return users[0]
  }

  private func other(of index: Int, than name: String) -> String? {
    let inputs = nodes[index].inputs
    guard inputs.count == 2, inputs.contains(name) else { return nil }
    return inputs[0] == name ? inputs[1] : inputs[0]
  }

  /// A constant of one element.
  private func number(_ name: String) -> Float? {
    var tensor = constants[name]
    if let index = producers[name], case .tensor(let value)? = nodes[index].attributes["value"],
      nodes[index].operation == "Constant"
    {
      tensor = value
    }
    guard let tensor, tensor.shape.count == 1 else { return nil }
    return (try? tensor.floats())?[0]
  }
}
