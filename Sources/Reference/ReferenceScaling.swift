// SPDX-License-Identifier: Apache-2.0

import ThawExecution
import ThawNetwork
import ThawTensors

/// Multiplies each channel by a parameter of its own, or all by a constant.
final class ReferenceChannelScale<Scalar: BLASScalar>: ReferenceLayer {
  private let input: ReferenceValue<Scalar>
  private let output: ReferenceValue<Scalar>
  private let scale: PlanParameter<Scalar>

  init(_ layer: ChannelScale, _ context: ReferenceContext<Scalar>) {
    input = context.input
    output = context.output
    scale =
      layer.constants.map { PlanParameter(constant: $0, of: context.node) }
      ?? context.required(.normScale)
  }

  func forward(_ pass: ReferencePass) {
    for sample in 0..<pass.count {
      ReferencePlanes.scale(
        input.values + sample * input.stride, by: scale.values,
        into: output.values + sample * input.stride, planes: scale.count,
        plane: input.stride / scale.count)
    }
  }

  func backward(_ pass: ReferencePass) {
    guard let outer = output.gradient else { return }
    for sample in 0..<pass.count {
      let start = sample * input.stride
      ReferencePlanes.addScaleGradients(
        of: outer + start, input.values + start, scale.values,
        to: input.gradient.map { $0 + start }, scale.gradient, planes: scale.count,
        plane: input.stride / scale.count)
    }
  }
}

/// Multiplies each channel of each sample by the second input's value for it.
final class ReferenceGate<Scalar: BLASScalar>: ReferenceLayer {
  private let input: ReferenceValue<Scalar>
  private let gates: ReferenceValue<Scalar>
  private let output: ReferenceValue<Scalar>

  init(_ context: ReferenceContext<Scalar>) {
    input = context.input
    gates = context.inputs[1]
    output = context.output
  }

  func forward(_ pass: ReferencePass) {
    ReferencePlanes.scale(
      input.values, by: gates.values, into: output.values, planes: pass.count * gates.stride,
      plane: input.stride / gates.stride)
  }

  func backward(_ pass: ReferencePass) {
    guard let outer = output.gradient else { return }
    ReferencePlanes.addScaleGradients(
      of: outer, input.values, gates.values, to: input.gradient, gates.gradient,
      planes: pass.count * gates.stride, plane: input.stride / gates.stride)
  }
}

/// Element-wise product of two inputs of equal shape.
final class ReferenceProduct<Scalar: BLASScalar>: ReferenceLayer {
  private let inputs: [ReferenceValue<Scalar>]
  private let output: ReferenceValue<Scalar>

  init(_ context: ReferenceContext<Scalar>) {
    inputs = context.inputs
    output = context.output
  }

  func forward(_ pass: ReferencePass) {
    ElementLoops.product(
      inputs[0].values, inputs[1].values, into: output.values, count: pass.count * output.stride,
      accumulating: false)
  }

  func backward(_ pass: ReferencePass) {
    guard let outer = output.gradient else { return }
    for (input, other) in [(inputs[0], inputs[1]), (inputs[1], inputs[0])] {
      guard let gradient = input.gradient else { continue }
      ElementLoops.product(
        outer, other.values, into: gradient, count: pass.count * output.stride, accumulating: true)
    }
  }
}

/// Stochastic depth: multiplies a sample by 0 or 1 / (1 - probability) in training, copies otherwise.
/// Sample i of a batch has the fate that element i of a dropout layer of this name would have.
final class ReferenceStochasticDepth<Scalar: BLASScalar>: ReferenceLayer {
  private let mask: DropoutMask
  private let input: ReferenceValue<Scalar>
  private let output: ReferenceValue<Scalar>
  /// The factors of the last training pass, one a sample.
  private let factors: AlignedStorage<Scalar>
  private let drops: Bool

  init(_ probability: Double, _ context: ReferenceContext<Scalar>) {
    mask = DropoutMask(probability: probability, layer: context.node.path)
    input = context.input
    output = context.output
    drops = context.trains && probability > 0
    factors = AlignedStorage(count: output.shape[0])
  }

  func forward(_ pass: ReferencePass) {
    guard drops && pass.isTraining else {
      return output.values.update(from: input.values, count: pass.count * output.stride)
    }
    mask.fill(factors.start, count: pass.count, identity: pass.identity)
    ReferencePlanes.scale(
      input.values, by: factors.start, into: output.values, planes: pass.count,
      plane: input.stride)
  }

  func backward(_ pass: ReferencePass) {
    guard let outer = output.gradient, let gradient = input.gradient else { return }
    guard drops else {
      return ElementLoops.add(outer, to: gradient, count: pass.count * output.stride)
    }
    ReferencePlanes.addScaleGradients(
      of: outer, input.values, factors.start, to: gradient, nil, planes: pass.count,
      plane: input.stride)
  }
}

/// Loops over [planes, plane] with one factor a plane.
enum ReferencePlanes {
  /// y[p, i] = factors[p] * x[p, i].
  @specialized(where Scalar == Float)
  @specialized(where Scalar == Double)
  static func scale<Scalar: BLASScalar>(
    _ x: UnsafePointer<Scalar>, by factors: UnsafePointer<Scalar>,
    into y: UnsafeMutablePointer<Scalar>, planes: Int, plane: Int
  ) {
    for index in 0..<planes {
      let start = index * plane
      for at in start..<(start + plane) { y[at] = factors[index] * x[at] }
    }
  }

  /// gradient += factors * outer, and factorGradient[p] += sum over i of outer * x, in Double.
  @specialized(where Scalar == Float)
  @specialized(where Scalar == Double)
  static func addScaleGradients<Scalar: BLASScalar>(
    of outer: UnsafePointer<Scalar>, _ x: UnsafePointer<Scalar>, _ factors: UnsafePointer<Scalar>,
    to gradient: UnsafeMutablePointer<Scalar>?, _ factorGradient: UnsafeMutablePointer<Scalar>?,
    planes: Int, plane: Int
  ) {
    for index in 0..<planes {
      let elements = (index * plane)..<((index + 1) * plane)
      if let gradient {
        for at in elements { gradient[at] += factors[index] * outer[at] }
      }
      guard let factorGradient else { continue }
      var sum = 0.0
      for at in elements { sum += Double(outer[at]) * Double(x[at]) }
      factorGradient[index] += Scalar(sum)
    }
  }
}
