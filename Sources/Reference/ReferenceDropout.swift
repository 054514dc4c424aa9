// SPDX-License-Identifier: Apache-2.0

import ThawExecution
import ThawNetwork
import ThawTensors

/// Dropout: multiplies by a mask of 0 and 1 / (1 - probability) in training, copies otherwise.
final class ReferenceDropout<Scalar: BLASScalar>: ReferenceLayer {
  private let mask: DropoutMask
  private let input: ReferenceValue<Scalar>
  private let output: ReferenceValue<Scalar>
  /// The factors of the last training pass, [batch, …]; empty where nothing is dropped.
  private let factors: AlignedStorage<Scalar>
  private let drops: Bool

  init(_ probability: Double, _ context: ReferenceContext<Scalar>) {
    mask = DropoutMask(probability: probability, layer: context.node.path)
    input = context.input
    output = context.output
    drops = context.trains && probability > 0
    factors = AlignedStorage(count: drops ? output.shape.count : 0)
  }

  func forward(_ pass: ReferencePass) {
    let count = pass.count * output.stride
    guard drops && pass.isTraining else {
      return output.values.update(from: input.values, count: count)
    }
    mask.fill(factors.start, count: count, identity: pass.identity)
    ElementLoops.product(
      input.values, factors.start, into: output.values, count: count, accumulating: false)
  }

  func backward(_ pass: ReferencePass) {
    guard let outer = output.gradient, let gradient = input.gradient else { return }
    let count = pass.count * output.stride
    guard drops else { return ElementLoops.add(outer, to: gradient, count: count) }
    ElementLoops.product(
      outer, factors.start, into: gradient, count: count, accumulating: true)
  }
}
