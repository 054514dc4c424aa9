// SPDX-License-Identifier: Apache-2.0

import ThawExecution
import ThawNetwork
import ThawTensors

/// Element-wise sum of two inputs.
final class ReferenceAddition<Scalar: BLASScalar>: ReferenceLayer {
  private let inputs: [ReferenceValue<Scalar>]
  private let output: ReferenceValue<Scalar>

  init(_ context: ReferenceContext<Scalar>) {
    inputs = context.inputs
    output = context.output
  }

  func forward(_ pass: ReferencePass) {
    ElementLoops.sum(
      inputs[0].values, inputs[1].values, into: output.values, count: pass.count * output.stride)
  }

  func backward(_ pass: ReferencePass) {
    guard let outer = output.gradient else { return }
    for input in inputs {
      guard let gradient = input.gradient else { continue }
      ElementLoops.add(outer, to: gradient, count: pass.count * output.stride)
    }
  }
}

/// Concatenation along the channels: each sample of the output holds the inputs' one after another.
final class ReferenceConcatenation<Scalar: BLASScalar>: ReferenceLayer {
  private let inputs: [ReferenceValue<Scalar>]
  private let output: ReferenceValue<Scalar>

  init(_ context: ReferenceContext<Scalar>) {
    inputs = context.inputs
    output = context.output
  }

  func forward(_ pass: ReferencePass) {
    var offset = 0
    for input in inputs {
      for sample in 0..<pass.count {
        (output.values + (sample * output.stride + offset)).update(
          from: input.values + sample * input.stride, count: input.stride)
      }
      offset += input.stride
    }
  }

  func backward(_ pass: ReferencePass) {
    guard let outer = output.gradient else { return }
    var offset = 0
    for input in inputs {
      if let gradient = input.gradient {
        for sample in 0..<pass.count {
          ElementLoops.add(
            outer + (sample * output.stride + offset), to: gradient + sample * input.stride,
            count: input.stride)
        }
      }
      offset += input.stride
    }
  }
}

/// [N, C, H, W] to [N, C*H*W]: the same elements in the same order.
final class ReferenceFlatten<Scalar: BLASScalar>: ReferenceLayer {
  private let input: ReferenceValue<Scalar>
  private let output: ReferenceValue<Scalar>

  init(_ context: ReferenceContext<Scalar>) {
    input = context.input
    output = context.output
  }

  func forward(_ pass: ReferencePass) {
    output.values.update(from: input.values, count: pass.count * output.stride)
  }

  func backward(_ pass: ReferencePass) {
    guard let outer = output.gradient, let gradient = input.gradient else { return }
    ElementLoops.add(outer, to: gradient, count: pass.count * output.stride)
  }
}
