// SPDX-License-Identifier: Apache-2.0

import ThawExecution
import ThawNetwork
import ThawTensors

/// Who uses which value when, and which values need a gradient. Value 0 is the plan's input, value
/// i + 1 the result of its node i.
struct ReferenceLayout {
  /// The graph index of each value.
  let nodes: [Int]
  /// The values each node reads.
  let inputs: [[Int]]
  /// The number of the last node that uses a value, counted from 1 (its result's value number); of an
  /// unused value, its own; of the plan's output, one past the end.
  let lastUse: [Int]
  /// Whether a parameter at or before a value trains.
  let needsGradient: [Bool]
  /// Whether there is training, and so every value is kept.
  let trains: Bool

  init(_ graph: Graph, nodes: [Node], from source: NodeID, freezing plan: FreezePlan?) {
    var position: [NodeID: Int] = [source: 0]
    var lastUse = Array(0...nodes.count)
    var needsGradient = [false]
    var inputs: [[Int]] = []
    for (index, node) in nodes.enumerated() {
      let sources = node.inputs.map { input in
        guard let value = position[input] else {
          preconditionFailure(
            "Layer '\(node.path)' reads '\(graph[input].path)', which is outside this plan.")
        }
        return value
      }
      for value in sources { lastUse[value] = index + 1 }
      let trains = plan.map { plan in node.parameters.contains { plan.trains($0, of: node) } }
      needsGradient.append(trains == true || sources.contains { needsGradient[$0] })
      inputs.append(sources)
      position[node.id] = index + 1
    }
    lastUse[nodes.count] = nodes.count + 1
    self.nodes = [source.index] + nodes.map(\.id.index)
    self.inputs = inputs
    self.lastUse = lastUse
    self.needsGradient = needsGradient
    trains = plan != nil
  }

  /// Memory for every value, `shapes` being those of the whole graph.
  func makeValues<Scalar: BLASScalar>(_ shapes: [Shape]) -> [ReferenceValue<Scalar>] {
    let end = nodes.count
    func lifetime(_ index: Int, _ moments: ClosedRange<Int>) -> ArenaLayout.Lifetime {
      ArenaLayout.Lifetime(
        buffer: index, bytes: shapes[nodes[index]].count * MemoryLayout<Scalar>.stride,
        moments: moments)
    }
    let values = ArenaLayout(
      nodes.indices.map { lifetime($0, trains ? 0...end : $0...lastUse[$0]) })
    // Backward runs from the end: a gradient lives from its value's last user to its maker.
    let gradients = ArenaLayout(
      nodes.indices.filter { needsGradient[$0] }.map {
        lifetime($0, end - lastUse[$0]...end - $0)
      })
    let memory = ReferenceMemory<Scalar>(
      values: AlignedStorage(count: values.bytes / MemoryLayout<Scalar>.stride),
      gradients: AlignedStorage(count: gradients.bytes / MemoryLayout<Scalar>.stride))
    return nodes.indices.map { index in
      ReferenceValue(
        shape: shapes[nodes[index]], memory: memory,
        offset: (values.offsets[index] ?? 0) / MemoryLayout<Scalar>.stride,
        gradientOffset: gradients.offsets[index].map { $0 / MemoryLayout<Scalar>.stride })
    }
  }
}
