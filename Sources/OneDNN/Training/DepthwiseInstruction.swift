// SPDX-License-Identifier: Apache-2.0

import CThawKernels
import ThawExecution
import ThawNetwork
import ThawTensors

/// A depthwise convolution with a frozen batch norm folded in, a residual addition and a rectifier, on
/// kernels of our own: oneDNN 2.6 computes the 5x5 weight gradient at 2 GFLOP/s, these at 60 and more.
final class DepthwiseInstruction: TrainingInstructionBase, TrainingInstruction {
  private let layer: Convolution2D
  private let geometry: Geometry
  private let weight: PlanParameter<Float>
  private let bias: PlanParameter<Float>?
  private let affine: FrozenAffine?
  private let hasResidual: Bool
  private let lanes: Int
  private let taps: Int
  /// s * W: [kH * kW, C].
  private let folded: AlignedStorage<Float>
  /// s * b + t: [C].
  private let foldedBias: AlignedStorage<Float>?
  /// d loss / d (s * W) of each lane: [kH * kW, C].
  private let laneGradients: [AlignedStorage<Float>]
  /// Sums of dy in each lane: [C].
  private let biasSums: [AlignedStorage<Double>]

  /// Whether the kernels can take this convolution.
  static func supports(_ layer: Convolution2D) -> Bool {
    layer.groups == layer.inputs && layer.outputs == layer.inputs
      && layer.window.kernel.height * layer.window.kernel.width <= 256
  }

  init(
    _ layer: Convolution2D, _ context: TrainingContext, affine: FrozenAffine?,
    residual: TrainingValue?, rectifier: Activation?
  ) {
    self.layer = layer
    self.affine = affine
    geometry = Geometry(layer.window, from: context.input, to: context.output)
    weight = context.required(.weight)
    bias = context.parameter(.bias)
    hasResidual = residual != nil
    lanes = context.lanes
    taps = layer.window.kernel.height * layer.window.kernel.width
    folded = AlignedStorage(count: layer.inputs * taps)
    foldedBias =
      layer.hasBias || affine != nil ? AlignedStorage(count: layer.outputs) : nil
    let needsWeights = context.output.hasGradient && weight.gradient != nil
    laneGradients = (0..<(needsWeights ? lanes : 0)).map { [taps] _ in
      AlignedStorage(count: layer.inputs * taps)
    }
    biasSums = (0..<(bias?.gradient == nil ? 0 : lanes)).map { _ in
      AlignedStorage(count: layer.outputs)
    }
    super.init(
      context.node.path, residual.map { [$0, context.input] } ?? [context.input], context.output,
      rectifier: rectifier)
  }

  override var keepsInputs: [Bool] {
    inputs.indices.map { $0 == inputs.count - 1 && !laneGradients.isEmpty }
  }
  override var keepsOutput: Bool { rectifier != THAW_IDENTITY && output.hasGradient }
  override var canShareGradient: [Bool] { inputs.indices.map { hasResidual && $0 == 0 } }
  override var scratchBytes: Int { accumulates[inputs.count - 1] ? input.stride * 4 : 0 }
  override var parameterCount: Int { weight.count }

  override func importFrozen(_ parameters: Parameters) throws { try affine?.update(parameters) }

  override func prepare(_ scratch: UnsafeMutableRawPointer) {
    let target = folded.start
    let channels = layer.inputs
    for channel in 0..<channels {
      let scale = affine?.scale[channel] ?? 1
      for tap in 0..<taps {
        target[tap * channels + channel] = scale * weight.values[channel * taps + tap]
      }
      let own = bias?.values[channel] ?? 0
      foldedBias?.start[channel] = affine.map { scale * own + $0.shift[channel] } ?? own
    }
  }

  func forward(
    _ work: TrainingWork, round: Int, _ scratch: UnsafeMutableRawPointer
  ) {
    let (source, result) = (input.values(work), output.values(work))
    for image in 0..<work.images.count {
      thaw_depthwise_forward(
        geometry.pointer, source + image * input.stride, folded.start, foldedBias?.start,
        hasResidual ? THAW_IDENTITY : forwardRectifier, result + image * output.stride)
    }
    guard hasResidual else { return }
    thaw_sum(
      result, inputs[0].values(work), forwardRectifier, result,
      Int64(work.images.count * output.stride))
  }

  override func startBackward() {
    for gradient in laneGradients { gradient.elements.update(repeating: 0) }
    for sums in biasSums { sums.elements.update(repeating: 0) }
  }

  func backward(
    _ work: TrainingWork, round: Int, _ scratch: UnsafeMutableRawPointer
  ) {
    let outer = output.gradient(work)
    if rectifier != THAW_IDENTITY {
      thaw_rectify_backward(
        outer, output.values(work), rectifier, outer, Int64(work.images.count * output.stride))
    }
    if hasResidual { pass(outer, to: 0, work) }
    if bias?.gradient != nil {
      thaw_channel_sums(
        outer, Int64(work.images.count * output.plane), Int64(layer.outputs),
        biasSums[work.lane].start)
    }
    for image in 0..<work.images.count {
      let gradient = outer + image * output.stride
      if !laneGradients.isEmpty {
        thaw_depthwise_backward_weights(
          geometry.pointer, input.values(work) + image * input.stride, gradient,
          laneGradients[work.lane].start)
      }
      guard input.hasGradient else { continue }
      let target = input.gradient(work) + image * input.stride
      if accumulates[inputs.count - 1] {
        let temporary = scratch.assumingMemoryBound(to: Float.self)
        thaw_depthwise_backward_data(geometry.pointer, gradient, folded.start, temporary)
        thaw_add(target, temporary, Int64(input.stride))
      } else {
        thaw_depthwise_backward_data(geometry.pointer, gradient, folded.start, target)
      }
    }
  }

  override func reduce(_ scratch: UnsafeMutableRawPointer) {
    if let gradient = weight.gradient, !laneGradients.isEmpty {
      let channels = layer.inputs
      for channel in 0..<channels {
        let scale = affine?.scale[channel] ?? 1
        for tap in 0..<taps {
          var sum: Float = 0
          for lane in laneGradients { sum += lane.start[tap * channels + channel] }
          gradient[channel * taps + tap] += scale * sum
        }
      }
    }
    guard let gradient = bias?.gradient, output.hasGradient else { return }
    addBiasSums(biasSums, to: gradient, channels: layer.outputs, scale: affine?.scale)
  }
}
