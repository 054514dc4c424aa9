// SPDX-License-Identifier: Apache-2.0

import ThawCheckpoints
import ThawTensors

/// Places where a graph of an operation set before 17 spells out a layer normalisation: x minus its mean,
/// divided by the root of the mean of its square, times a scale and plus a shift.
struct LayerNormPatterns {
  /// The nodes with a `LayerNormalization` in each such place.
  private(set) var rewritten: [ONNXNode]

  private let nodes: [ONNXNode]
  private let constants: [String: StoredTensor]
  private var producers: [String: Int] = [:]
  private var consumers: [String: [Int]] = [:]

  init(_ nodes: [ONNXNode], _ initializers: [StoredTensor]) {
    self.nodes = nodes
    rewritten = nodes
    constants = Dictionary(
      initializers.map { ($0.name, $0) }, uniquingKeysWith: { first, _ in first })
    for (index, node) in nodes.enumerated() {
      for name in node.outputs { producers[name] = index }
      for name in node.inputs { consumers[name, default: []].append(index) }
    }
    var replaced: [Int: ONNXNode] = [:]
    var removed: Set<Int> = []
    for (index, node) in nodes.enumerated() where node.operation == "Sqrt" {
      guard let found = match(index) else { continue }
      replaced[found.last] = found.node
      removed.formUnion(found.inner)
    }
    guard !replaced.isEmpty else { return }
    rewritten = nodes.indices.filter { !removed.contains($0) }.map { replaced[$0] ?? nodes[$0] }
  }

  private func match(_ root: Int) -> (last: Int, node: ONNXNode, inner: Set<Int>)? {
    guard let sum = producer(of: nodes[root].inputs.first, "Add"),
      let (epsilon, variance) = constantAndRest(sum), epsilon.shape.count == 1,
      let mean = producer(of: variance, "ReduceMean"), isOverLast(mean),
      let square = producers[nodes[mean].inputs.first ?? ""],
      let centred = squared(square), let difference = producer(of: centred, "Sub"),
      nodes[difference].inputs.count == 2,
      let first = producer(of: nodes[difference].inputs[1], "ReduceMean"), isOverLast(first),
      nodes[first].inputs.first == nodes[difference].inputs[0],
      let division = onlyUser(nodes[root].outputs.first, "Div"),
      nodes[division].inputs == [centred, nodes[root].outputs[0]],
      let product = onlyUser(nodes[division].outputs.first, "Mul"),
      let (scale, _) = constantAndRest(product),
      let last = onlyUser(nodes[product].outputs.first, "Add"),
      let (shift, _) = constantAndRest(last), scale.shape.rank == 1, shift.shape == scale.shape,
      let value = try? epsilon.floats()[0]
    else { return nil }
    let name = nodes[last].name
    func input(_ index: Int, _ tensor: StoredTensor) -> String {
      nodes[index].inputs.first { constant($0)?.name == tensor.name } ?? tensor.name
    }
    let node = ONNXNode(
      "LayerNormalization", name: name,
      inputs: [nodes[difference].inputs[0], input(product, scale), input(last, shift)],
      outputs: nodes[last].outputs, attributes: ["axis": .integer(-1), "epsilon": .float(value)])
    return (last, node, [root, sum, mean, square, difference, first, division, product])
  }

  private func producer(of name: String?, _ operation: String) -> Int? {
    guard let name, let index = producers[name], nodes[index].operation == operation else {
      return nil
    }
    return index
  }

  /// x of x^2 or x * x.
  private func squared(_ index: Int) -> String? {
    let node = nodes[index]
    guard node.inputs.count == 2 else { return nil }
    if node.operation == "Mul" { return node.inputs[0] == node.inputs[1] ? node.inputs[0] : nil }
    guard node.operation == "Pow", let power = constant(node.inputs[1]), power.shape.count == 1,
      (try? power.floats()[0]) == 2 || (try? power.smallIntegers()) == [2]
    else { return nil }
    return node.inputs[0]
  }

  private func isOverLast(_ index: Int) -> Bool {
    let node = nodes[index]
    guard node.integer("keepdims") ?? 1 == 1 else { return false }
    if let axes = node.integers("axes") { return axes == [-1] }
    guard node.inputs.count > 1, let axes = constant(node.inputs[1]) else { return false }
    return (try? axes.smallIntegers()) == [-1]
  }

  private func onlyUser(_ name: String?, _ operation: String) -> Int? {
    guard let name, let users = consumers[name], users.count == 1,
      nodes[users[0]].operation == operation
    else { return nil }
    return users[0]
  }

  private func constantAndRest(_ index: Int) -> (StoredTensor, String)? {
    let inputs = nodes[index].inputs
    guard inputs.count == 2 else { return nil }
    if let tensor = constant(inputs[0]) { return (tensor, inputs[1]) }
    return constant(inputs[1]).map { ($0, inputs[0]) }
  }

  private func constant(_ name: String) -> StoredTensor? {
    if let tensor = constants[name] { return tensor }
    guard let index = producers[name] else { return nil }
    if nodes[index].operation == "Identity" { return constant(nodes[index].inputs.first ?? "") }
    guard nodes[index].operation == "Constant",
      case .tensor(let tensor)? = nodes[index].attributes["value"]
    else { return nil }
    return tensor.renamed(name)
  }
}
