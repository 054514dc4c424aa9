// SPDX-License-Identifier: Apache-2.0

package import ThawNetwork

/// A run of consecutive nodes that an engine may execute as one kernel in inference:
/// a lead (convolution, dense, pooling, …) and what is absorbed behind it.
///
/// Steps are a property of the graph alone. They do not depend on what is frozen, and a cut never
/// falls inside one; that is why a frozen prefix runs the same kernels in training and in prediction.
package struct FusedStep: Hashable, Sendable {
  /// Something absorbed behind the lead's own result, in order of computation.
  package enum Epilogue: Hashable, Sendable {
    /// An element-wise function.
    case activation(Activation)
    /// Adds the result of another node (the residual connection).
    case addition(of: NodeID)
  }

  /// The node whose operation does the work.
  package let lead: Node
  /// The batch normalisation directly behind a convolution, folded into it.
  package let batchNormalization: Node?
  /// The channel scale directly behind a convolution and its batch norm, folded into it.
  package let channelScale: Node?
  /// What follows; empty for most leads.
  package let epilogue: [Epilogue]
  /// The last node of the run: its result is the step's result.
  package let result: NodeID

  /// Where the lead's inputs come from.
  package var inputs: [NodeID] { lead.inputs }

  /// Node indices of the run; runs are contiguous and cover the graph without its input node.
  package var nodes: ClosedRange<Int> { lead.id.index...result.index }
}

extension Graph {
  /// The graph as fused steps, in order of computation, without the input node.
  ///
  /// A convolution absorbs the batch norm and the channel scale behind it; then it, or a dense
  /// layer, absorbs activations and one residual addition. A batch norm that no convolution has
  /// absorbed takes activations. Stochastic depth, the identity here, goes with what is before it.
  /// Each must be the next node and the only user of the result before it; every other node is a
  /// step of its own.
  package var fusedSteps: [FusedStep] {
    let consumers = consumers
    var steps: [FusedStep] = []
    var index = 1
    while index < nodes.count {
      let step = fusedStep(from: nodes[index], consumers)
      steps.append(step)
      index = step.result.index + 1
    }
    return steps
  }

  private func fusedStep(from lead: Node, _ consumers: [[NodeID]]) -> FusedStep {
    var last = lead
    var normalization: Node?
    var scale: Node?
    var epilogue: [FusedStep.Epilogue] = []
    func next() -> Node? {
      guard consumers[last.id.index] == [NodeID(last.id.index + 1)] else { return nil }
      return nodes[last.id.index + 1]
    }
    if case .convolution = lead.operation, let node = next(),
      case .batchNormalization = node.operation
    {
      normalization = node
      last = node
    }
    if case .convolution = lead.operation, let node = next(), case .channelScale = node.operation {
      scale = node
      last = node
    }
    while lead.operation.absorbsEpilogue, let node = next() {
      guard let absorbed = lead.absorb(node, behind: last, epilogue) else { break }
      epilogue += absorbed
      last = node
    }
    return FusedStep(
      lead: lead, batchNormalization: normalization, channelScale: scale, epilogue: epilogue,
      result: last.id)
  }
}

extension Node {
  /// What `node` adds to the epilogue of a step led by this node, nil when it does not join.
  fileprivate func absorb(
    _ node: Node, behind last: Node, _ epilogue: [FusedStep.Epilogue]
  ) -> [FusedStep.Epilogue]? {
    switch node.operation {
    case .activation(let function): return [.activation(function)]
    case .stochasticDepth: return []
    case .add:
      guard operation.absorbsAddition, !epilogue.containsAddition,
        let other = node.inputs.first(where: { $0 != last.id })
      else { return nil }
      return [.addition(of: other)]
    default: return nil
    }
  }
}

extension Operation {
  fileprivate var absorbsEpilogue: Bool {
    switch self {
    case .convolution, .dense, .batchNormalization: true
    default: false
    }
  }

  fileprivate var absorbsAddition: Bool {
    if case .batchNormalization = self { false } else { true }
  }
}

extension [FusedStep.Epilogue] {
  fileprivate var containsAddition: Bool {
    contains { if case .addition = $0 { true } else { false } }
  }
}
