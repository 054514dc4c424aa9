// SPDX-License-Identifier: Apache-2.0

import ThawExecution
import ThawNetwork
import ThawTensors

/// What an instruction is made from.
struct TrainingContext {
  let node: Node
  let inputs: [TrainingValue]
  let output: TrainingValue
  /// Those of `node`.
  let parameters: [PlanParameter<Float>]
  /// How a batch norm behaves in training.
  let mode: BatchNormMode
  let lanes: Int
  /// Images a lane takes through the instruction at once.
  let passImages: Int
  /// Of an attention that turns patches: see ``Graph/rotaryAngles(of:_:)``.
  let angles: Tensor<Double>?

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
