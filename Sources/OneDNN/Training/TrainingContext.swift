// SPDX-License-Identifier: Apache-2.0

import ThawExecution
import ThawNetwork
import ThawTensors

/// What a step is made from.
struct TrainingContext {
  let node: Node
  let inputs: [TrainingValue]
  let output: TrainingValue
  /// Those of `node`.
  let parameters: [PlanParameter<Float>]
  /// How a batch norm behaves in training.
  let mode: BatchNormMode
  let lanes: Int
  /// Images a lane takes through the step at once.
  let passImages: Int

  /// The first input.
  var input: TrainingValue { inputs[0] }

  /// The parameter with this role, nil when the layer has none.
  func parameter(_ role: ParameterRole) -> PlanParameter<Float>? {
    parameters.first { $0.description.role == role }
  }

  /// The parameter with this role, which every layer of this kind has.
  func required(_ role: ParameterRole) -> PlanParameter<Float> {
    guard let parameter = parameter(role) else {
      preconditionFailure("Layer '\(node.path)' has no parameter with the role \(role).")
    }
    return parameter
  }
}

/// Nodes that one step of a training plan executes.
struct TrainingFusion {
  /// The node whose operation does the work.
  let lead: Node
  /// A frozen batch norm and a frozen channel scale behind a convolution, folded into it.
  var affine: [Node] = []
  /// The other operand of the addition behind the lead.
  var residual: NodeID?
  /// relu or relu6 at the end.
  var rectifier: Activation?
  /// The last node: its result is the step's.
  var result: NodeID

  /// Where the lead's inputs come from.
  var inputs: [NodeID] { lead.inputs }

  /// `nodes` as fused steps: a convolution takes the batch norm and the channel scale behind it when
  /// those neither train nor use the batch; convolutions, batch norms and channel scales take an
  /// addition and then a relu or relu6, additions a relu or relu6. Each must be the next node and the only user of the result before it.
  static func steps(_ graph: Graph, _ nodes: [Node], _ plan: FreezePlan) -> [TrainingFusion] {
    let consumers = graph.consumers
    let last = nodes.last?.id
    var result: [TrainingFusion] = []
    var index = 0
    while index < nodes.count {
      var fusion = TrainingFusion(lead: nodes[index], result: nodes[index].id)
      fusion.absorb(plan) { result in
        let end = result.index
        let following = end - nodes[0].id.index + 1
        guard result != last, following < nodes.count, consumers[end] == [NodeID(end + 1)] else {
          return nil
        }
        return nodes[following]
      }
      index = fusion.result.index - nodes[0].id.index + 1
      result.append(fusion)
    }
    return result
  }

  /// - Parameter next: the only user of a result, when it is the next node.
  private mutating func absorb(_ plan: FreezePlan, _ next: (NodeID) -> Node?) {
    var takesAddition = true
    switch lead.operation {
    case .convolution:
      if let node = next(result), case .batchNormalization = node.operation, plan.isPure(node) {
        affine.append(node)
        result = node.id
      }
      if let node = next(result), case .channelScale = node.operation, plan.isPure(node) {
        affine.append(node)
        result = node.id
      }
    case .batchNormalization, .channelScale: break
    case .add: takesAddition = false
    default: return
    }
    if takesAddition, let node = next(result), case .add = node.operation,
      let other = node.inputs.first(where: { $0 != result })
    {
      residual = other
      result = node.id
    }
    if let node = next(result), case .activation(let function) = node.operation,
      function.rectifier != nil
    {
      rectifier = function
      result = node.id
    }
  }
}
