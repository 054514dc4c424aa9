// SPDX-License-Identifier: Apache-2.0

package import ThawNetwork

/// Where a ``FreezePlan`` cuts a graph: the frozen prefix, compiled as for inference, and the suffix
/// that trains. This is the one place where that is decided.
package struct Partition: Hashable, Sendable {
  /// The fused operations of the prefix; empty when the first layer already trains.
  package let prefix: [FusedOperation]
  /// The node whose result crosses from prefix to suffix: what the feature cache stores. The input
  /// node when the prefix is empty, the output node when nothing trains.
  package let cut: NodeID
  /// The nodes of the suffix, in order of computation; their inputs are suffix nodes or the cut.
  package let suffix: [Node]

  /// Cuts `graph` as late as possible such that every node before the cut is pure
  /// (``FreezePlan/isPure(_:)``), exactly one value crosses, and no fused operation is split.
  package init(_ graph: Graph, freezing plan: FreezePlan) {
    let operations = graph.fusedOperations
    let pure = operations.prefix { operation in
      operation.nodes.allSatisfy { plan.isPure(graph.nodes[$0]) }
    }
    let length = Partition.longestCleanPrefix(of: graph, operations: pure)
    prefix = Array(operations[..<length])
    cut = length == 0 ? graph.nodes[0].id : operations[length - 1].result
    suffix = Array(graph.nodes[(cut.index + 1)...])
  }

  /// The number of leading operations after which only the last operation's result is still needed.
  private static func longestCleanPrefix(of graph: Graph, operations: ArraySlice<FusedOperation>)
    -> Int
  {
    var lastUse = [Int](repeating: 0, count: graph.nodes.count)
    for node in graph.nodes {
      for input in node.inputs { lastUse[input.index] = node.id.index }
    }
    var best = 0
    var furthest = lastUse[0]
    for (index, operation) in operations.enumerated() {
      // Every value made before this operation's result must have been used up by now.
      if furthest <= operation.result.index { best = index + 1 }
      for node in operation.nodes { furthest = max(furthest, lastUse[node]) }
    }
    return best
  }
}
