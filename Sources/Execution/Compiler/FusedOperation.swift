// SPDX-License-Identifier: Apache-2.0

package import ThawNetwork

/// A run of consecutive nodes that an engine may execute as one operation: a lead (convolution, dense,
/// pooling, …) and what is absorbed behind it.
package struct FusedOperation: Hashable, Sendable {
  /// Something absorbed behind the lead's own result, in order of computation.
  package enum Epilogue: Hashable, Sendable {
    /// An element-wise function.
    case activation(Activation)
    /// Adds the result of another node (the residual connection).
    case addition(of: NodeID)
  }

  /// The node whose operation does the work.
  package let lead: Node
  /// The batch norm and then the channel scale directly behind a convolution, folded into it; either,
  /// both or none.
  package private(set) var affine: [Node] = []
  /// What follows; empty for most leads.
  package private(set) var epilogue: [Epilogue] = []
  /// The last node of the run: its result is the operation's result.
  package private(set) var result: NodeID

  /// Where the lead's inputs come from.
  package var inputs: [NodeID] { lead.inputs }

  /// Node indices of the run; runs are contiguous and cover the graph without its input node.
  package var nodes: ClosedRange<Int> { lead.id.index...result.index }

  /// The other operand of the residual addition; nil where there is none.
  package var residual: NodeID? {
    for case .addition(let other) in epilogue { return other }
    return nil
  }

  /// Begins with `lead` and absorbs what `fusion` lets it.
  ///
  /// - Parameter next: the only user of a result, when it is the next node; else nil.
  fileprivate init(_ lead: Node, _ fusion: Fusion, next: (NodeID) -> Node?) {
    self.lead = lead
    result = lead.id
    while let node = next(result), fusion.folds(node, into: lead, behind: affine) {
      affine.append(node)
      result = node.id
    }
    while let node = next(result),
      let absorbed = fusion.absorbs(node, behind: result, lead, epilogue)
    {
      epilogue += absorbed
      result = node.id
    }
  }
}

extension Graph {
  /// The whole graph as operations of inference, in order of computation, without the input node.
  ///
  /// They are a property of the graph alone and do not depend on what is frozen, and a cut never falls
  /// inside one; that is why a frozen prefix runs the same kernels in training and in prediction.
  package var fusedOperations: [FusedOperation] {
    fusedOperations(of: Array(nodes.dropFirst()), .inference)
  }

  /// `nodes`, consecutive ones of this graph, as operations in order of computation. What an operation
  /// absorbs is the next node and the only user of the result before it.
  package func fusedOperations(of nodes: [Node], _ fusion: Fusion) -> [FusedOperation] {
    guard let first = nodes.first?.id.index else { return [] }
    let consumers = consumers
    func next(_ result: NodeID) -> Node? {
      let following = result.index + 1
      guard following - first < nodes.count, consumers[result.index] == [NodeID(following)] else {
        return nil
      }
      return nodes[following - first]
    }
    var operations: [FusedOperation] = []
    var index = 0
    while index < nodes.count {
      let operation = FusedOperation(nodes[index], fusion, next: next)
      operations.append(operation)
      index = operation.result.index + 1 - first
    }
    return operations
  }
}
