// SPDX-License-Identifier: Apache-2.0

package import ThawNetwork

/// What an operation may absorb behind its lead.
package enum Fusion: Sendable {
  /// A convolution folds the batch norm and the channel scale behind it; then it, or a dense layer,
  /// absorbs activations and one residual addition. A batch norm that no convolution has folded takes
  /// activations. Stochastic depth, the identity here, goes with what is before it.
  case inference
  /// A convolution folds the batch norm and the channel scale behind it when the plan has those neither
  /// train nor use the batch; convolutions, batch norms and channel scales absorb one addition and
  /// then a relu or relu6, additions a relu or relu6: what a gradient passes knowing the result alone.
  case training(FreezePlan)

  /// Whether a convolution `lead`, which has folded `others`, folds `node` too.
  func folds(_ node: Node, into lead: Node, behind others: [Node]) -> Bool {
    guard case .convolution = lead.operation, isConstant(node) else { return false }
    switch node.operation {
    case .batchNormalization: return others.isEmpty
    case .channelScale: return !others.contains { $0.operation.isChannelScale }
    default: return false
    }
  }

  private func isConstant(_ node: Node) -> Bool {
    switch self {
    case .inference: true
    case .training(let plan): plan.isPure(node)
    }
  }

  /// What `node`, the only user of the result `last`, adds to the epilogue of an operation led by
  /// `lead`; nil when it is not absorbed.
  func absorbs(
    _ node: Node, behind last: NodeID, _ lead: Node, _ epilogue: [FusedOperation.Epilogue]
  ) -> [FusedOperation.Epilogue]? {
    let mayAdd =
      switch self {
      case .inference: lead.operation.addsInInference && !epilogue.contains(where: \.isAddition)
      case .training: lead.operation.addsInTraining && epilogue.isEmpty
      }
    switch node.operation {
    case .add where mayAdd:
      guard let other = node.inputs.first(where: { $0 != last }) else { return nil }
      return [.addition(of: other)]
    case .activation(let function):
      return mayApply(function, lead, epilogue) ? [.activation(function)] : nil
    case .stochasticDepth:
      guard case .inference = self, lead.operation.activatesInInference else { return nil }
      return []
    default: return nil
    }
  }

  private func mayApply(
    _ function: Activation, _ lead: Node, _ epilogue: [FusedOperation.Epilogue]
  ) -> Bool {
    switch self {
    case .inference: lead.operation.activatesInInference
    case .training:
      function.isRectifier && epilogue.allSatisfy(\.isAddition)
        && (lead.operation.addsInTraining || lead.operation.isAddition)
    }
  }
}

extension Activation {
  /// Whether its slope follows from its result: relu and relu6.
  package var isRectifier: Bool {
    switch self {
    case .relu, .relu6: true
    case .silu, .sigmoid, .gelu, .geluTanh, .quickGELU, .hardSigmoid, .hardSwish: false
    }
  }
}

extension Operation {
  fileprivate var addsInInference: Bool {
    switch self {
    case .convolution, .dense: true
    default: false
    }
  }

  fileprivate var activatesInInference: Bool {
    if case .batchNormalization = self { true } else { addsInInference }
  }

  fileprivate var addsInTraining: Bool {
    switch self {
    case .convolution, .batchNormalization, .channelScale: true
    default: false
    }
  }

  fileprivate var isAddition: Bool { if case .add = self { true } else { false } }

  fileprivate var isChannelScale: Bool { if case .channelScale = self { true } else { false } }
}

extension FusedOperation.Epilogue {
  fileprivate var isAddition: Bool { if case .addition = self { true } else { false } }
}
