// SPDX-License-Identifier: Apache-2.0

import CThawKernels
import ThawExecution
import ThawNetwork
import ThawTensors

/// A layer norm: every pixel by its own mean and variance over the channels, then scaled and shifted.
///
/// Nothing but the input is kept: backward takes the moments again, which is cheaper than storing them.
final class LayerNormalizationInstruction: TrainingInstructionBase, TrainingInstruction {
  private let layer: LayerNormalization
  private let gamma: PlanParameter<Float>
  private let beta: PlanParameter<Float>
  /// Gradients of each lane, [C]; empty where the parameters are frozen.
  private let gammaSums: [AlignedStorage<Double>]
  private let betaSums: [AlignedStorage<Double>]

  init(_ layer: LayerNormalization, _ context: TrainingContext) {
    self.layer = layer
    gamma = context.required(.normScale)
    beta = context.required(.normShift)
    let lanes = gamma.gradient == nil ? 0 : context.lanes
    gammaSums = (0..<lanes).map { _ in AlignedStorage(count: layer.channels) }
    betaSums = (0..<lanes).map { _ in AlignedStorage(count: layer.channels) }
    super.init(context.node.path, context.inputs, context.output)
  }

  override var keepsInputs: [Bool] { [output.hasGradient] }

  private func rows(_ work: TrainingWork) -> Int64 { Int64(work.images.count * input.plane) }

  func forward(_ work: TrainingWork, round: Int, _ scratch: UnsafeMutableRawPointer) {
    thaw_layer_norm(
      input.values(work), gamma.values, beta.values, Float(layer.epsilon), rows(work),
      Int64(layer.channels), output.values(work))
  }

  override func startBackward() {
    for lane in gammaSums.indices {
      gammaSums[lane].elements.update(repeating: 0)
      betaSums[lane].elements.update(repeating: 0)
    }
  }

  func backward(_ work: TrainingWork, round: Int, _ scratch: UnsafeMutableRawPointer) {
    let trains = !gammaSums.isEmpty
    thaw_layer_norm_backward(
      output.gradient(work), input.values(work), gamma.values, Float(layer.epsilon), rows(work),
      Int64(layer.channels), accumulates[0], input.hasGradient ? input.gradient(work) : nil,
      trains ? gammaSums[work.lane].start : nil, trains ? betaSums[work.lane].start : nil)
  }

  override func reduce(_ scratch: UnsafeMutableRawPointer) {
    guard output.hasGradient, let gamma = gamma.gradient, let beta = beta.gradient else { return }
    addBiasSums(gammaSums, to: gamma, channels: layer.channels, scale: nil)
    addBiasSums(betaSums, to: beta, channels: layer.channels, scale: nil)
  }
}
