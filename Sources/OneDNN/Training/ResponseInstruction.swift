// SPDX-License-Identifier: Apache-2.0

import CThawKernels
import ThawExecution
import ThawNetwork
import ThawTensors

/// A response normalisation of each image; see ``ResponseKernel``.
///
/// Nothing but the input is kept: backward takes the norms again.
final class ResponseInstruction: TrainingInstructionBase, TrainingInstruction {
  private let kernel: ResponseKernel
  private let weight: PlanParameter<Float>
  private let bias: PlanParameter<Float>
  /// Gradients of each lane, [C]; empty where the parameters are frozen.
  private let weightSums: [AlignedStorage<Double>]
  private let biasSums: [AlignedStorage<Double>]

  init(_ layer: ResponseNormalization, _ context: TrainingContext) {
    kernel = ResponseKernel(
      channels: layer.channels, pixels: context.input.plane, epsilon: layer.epsilon)
    weight = context.required(.normScale)
    bias = context.required(.normShift)
    let lanes = weight.gradient == nil ? 0 : context.lanes
    weightSums = (0..<lanes).map { _ in AlignedStorage(count: layer.channels) }
    biasSums = (0..<lanes).map { _ in AlignedStorage(count: layer.channels) }
    super.init(context.node.path, context.inputs, context.output)
  }

  override var keepsInputs: [Bool] { [output.hasGradient] }
  override var scratchBytes: Int { kernel.scratchBytes }

  func forward(_ work: TrainingWork, round: Int, _ scratch: UnsafeMutableRawPointer) {
    for image in 0..<work.images.count {
      let at = image * input.stride
      kernel.forward(
        input.values(work) + at, weight.values, bias.values, scratch,
        into: output.values(work) + at)
    }
  }

  override func startBackward() {
    for lane in weightSums.indices {
      weightSums[lane].elements.update(repeating: 0)
      biasSums[lane].elements.update(repeating: 0)
    }
  }

  func backward(_ work: TrainingWork, round: Int, _ scratch: UnsafeMutableRawPointer) {
    let trains = !weightSums.isEmpty
    for image in 0..<work.images.count {
      let at = image * input.stride
      kernel.backward(
        output.gradient(work) + at, input.values(work) + at, weight.values, scratch,
        weightSums: trains ? weightSums[work.lane].start : nil,
        biasSums: trains ? biasSums[work.lane].start : nil, accumulates: accumulates[0],
        into: input.hasGradient ? input.gradient(work) + at : nil)
    }
  }

  override func reduce(_ scratch: UnsafeMutableRawPointer) {
    guard output.hasGradient, let weight = weight.gradient, let bias = bias.gradient else { return }
    addBiasSums(weightSums, to: weight, channels: kernel.channels, scale: nil)
    addBiasSums(biasSums, to: bias, channels: kernel.channels, scale: nil)
  }
}
