// SPDX-License-Identifier: Apache-2.0

import CThawKernels
import ThawExecution
import ThawNetwork
import ThawTensors

/// A channel scale that trains or is a constant, with a residual addition and a rectifier behind it:
/// y = rectifier(scale * x + residual).
final class ChannelScaleInstruction: TrainingInstructionBase, TrainingInstruction {
  private let scale: PlanParameter<Float>
  private let hasResidual: Bool
  /// [C].
  private let zeros: AlignedStorage<Float>
  /// Of each lane, [C]: sums of dy, which nobody needs, and of dy * x.
  private let sums: [AlignedStorage<Double>]
  private let products: [AlignedStorage<Double>]

  init(
    _ layer: ChannelScale, _ context: TrainingContext, residual: TrainingValue?,
    rectifier: Activation?
  ) {
    scale =
      layer.constants.map { PlanParameter(constant: $0, of: context.node) }
      ?? context.required(.normScale)
    hasResidual = residual != nil
    zeros = AlignedStorage(count: scale.count)
    let (count, lanes) = (scale.count, scale.gradient == nil ? 0 : context.lanes)
    sums = (0..<lanes).map { _ in AlignedStorage(count: count) }
    products = (0..<lanes).map { _ in AlignedStorage(count: count) }
    super.init(
      context.node.path, residual.map { [$0, context.input] } ?? [context.input], context.output,
      rectifier: rectifier)
  }

  private func rows(_ work: TrainingWork) -> Int64 { Int64(work.images.count * input.plane) }
  private var channels: Int64 { Int64(scale.count) }

  override var keepsInputs: [Bool] {
    inputs.indices.map {
      $0 == inputs.count - 1 && scale.gradient != nil && output.hasGradient
    }
  }
  override var keepsOutput: Bool { rectifier != THAW_IDENTITY && output.hasGradient }
  override var canShareGradient: [Bool] { inputs.indices.map { hasResidual && $0 == 0 } }

  func forward(_ work: TrainingWork, round: Int, _ scratch: UnsafeMutableRawPointer) {
    thaw_affine(
      input.values(work), scale.values, zeros.start, hasResidual ? inputs[0].values(work) : nil,
      forwardRectifier, rows(work), channels, output.values(work))
  }

  override func startBackward() {
    for lane in sums.indices {
      sums[lane].elements.update(repeating: 0)
      products[lane].elements.update(repeating: 0)
    }
  }

  func backward(_ work: TrainingWork, round: Int, _ scratch: UnsafeMutableRawPointer) {
    let outer = output.gradient(work)
    if rectifier != THAW_IDENTITY {
      thaw_rectify_backward(
        outer, output.values(work), rectifier, outer, Int64(work.images.count * output.stride))
    }
    if hasResidual { pass(outer, to: 0, work) }
    if scale.gradient != nil {
      thaw_gradient_moments(
        outer, input.values(work), zeros.start, rows(work), channels, sums[work.lane].start,
        products[work.lane].start)
    }
    guard input.hasGradient else { return }
    thaw_affine_backward(
      outer, nil, scale.values, zeros.start, zeros.start, accumulates[inputs.count - 1],
      rows(work), channels, input.gradient(work))
  }

  override func reduce(_ scratch: UnsafeMutableRawPointer) {
    guard let gradient = scale.gradient, output.hasGradient else { return }
    addBiasSums(products, to: gradient, channels: scale.count, scale: nil)
  }
}

/// Each channel of each image times the second input's value for it.
final class GateInstruction: TrainingInstructionBase, TrainingInstruction {
  private let zeros: AlignedStorage<Float>

  init(_ context: TrainingContext) {
    zeros = AlignedStorage(count: context.input.channels)
    super.init(context.node.path, context.inputs, context.output)
  }

  private var data: TrainingValue { inputs[0] }
  private var gates: TrainingValue { inputs[1] }
  private var channels: Int64 { Int64(data.channels) }

  // Each needs the other one for its gradient.
  override var keepsInputs: [Bool] {
    [output.hasGradient && gates.hasGradient, output.hasGradient && data.hasGradient]
  }
  override var scratchBytes: Int { 2 * data.channels * MemoryLayout<Double>.stride }

  func forward(_ work: TrainingWork, round: Int, _ scratch: UnsafeMutableRawPointer) {
    let (source, factors, result) = (data.values(work), gates.values(work), output.values(work))
    for image in 0..<work.images.count {
      thaw_affine(
        source + image * data.stride, factors + image * gates.stride, zeros.start, nil,
        THAW_IDENTITY, Int64(data.plane), channels, result + image * data.stride)
    }
  }

  func backward(_ work: TrainingWork, round: Int, _ scratch: UnsafeMutableRawPointer) {
    let outer = output.gradient(work)
    for image in 0..<work.images.count {
      let gradient = outer + image * data.stride
      if gates.hasGradient { addGateGradient(gradient, image, work, scratch) }
      guard data.hasGradient else { continue }
      thaw_affine_backward(
        gradient, nil, gates.values(work) + image * gates.stride, zeros.start, zeros.start,
        accumulates[0], Int64(data.plane), channels, data.gradient(work) + image * data.stride)
    }
  }

  /// The gradient of image `image`'s gates: sums over its pixels of dy * x.
  private func addGateGradient(
    _ outer: UnsafePointer<Float>, _ image: Int, _ work: TrainingWork,
    _ scratch: UnsafeMutableRawPointer
  ) {
    let sums = scratch.assumingMemoryBound(to: Double.self)
    let products = sums + data.channels
    sums.update(repeating: 0, count: 2 * data.channels)
    thaw_gradient_moments(
      outer, data.values(work) + image * data.stride, zeros.start, Int64(data.plane), channels,
      sums, products)
    let target = gates.gradient(work) + image * gates.stride
    for channel in 0..<data.channels {
      target[channel] = (accumulates[1] ? target[channel] : 0) + Float(products[channel])
    }
  }
}

/// Element-wise product of two inputs of equal shape.
final class ProductInstruction: TrainingInstructionBase, TrainingInstruction {
  init(_ context: TrainingContext) {
    super.init(context.node.path, context.inputs, context.output)
  }

  // Each needs the other one for its gradient.
  override var keepsInputs: [Bool] {
    [output.hasGradient && inputs[1].hasGradient, output.hasGradient && inputs[0].hasGradient]
  }

  func forward(_ work: TrainingWork, round: Int, _ scratch: UnsafeMutableRawPointer) {
    thaw_product(
      inputs[0].values(work), inputs[1].values(work), false, output.values(work),
      Int64(work.images.count * output.stride))
  }

  func backward(_ work: TrainingWork, round: Int, _ scratch: UnsafeMutableRawPointer) {
    for index in [0, 1] where inputs[index].hasGradient {
      thaw_product(
        output.gradient(work), inputs[1 - index].values(work), accumulates[index],
        inputs[index].gradient(work), Int64(work.images.count * output.stride))
    }
  }
}

/// Stochastic depth: multiplies an image by 0 or 1 / (1 - probability) in training, copies otherwise.
///
/// Which images are left out is what the reference engine says.
final class StochasticDepthInstruction: TrainingInstructionBase, TrainingInstruction {
  private let mask: DropoutMask
  private let drops: Bool
  /// The factors of the last training pass: [N].
  private var factors: AlignedStorage<Float>

  init(_ probability: Double, _ context: TrainingContext) {
    mask = DropoutMask(probability: probability, layer: context.node.path)
    drops = probability > 0
    factors = AlignedStorage(count: context.output.shape[0])
    super.init(context.node.path, context.inputs, context.output)
  }

  override var canShareGradient: [Bool] { [true] }
  override func hold(images: Int) { factors = AlignedStorage(count: images) }

  func forward(_ work: TrainingWork, round: Int, _ scratch: UnsafeMutableRawPointer) {
    let (source, result) = (input.values(work), output.values(work))
    let count = work.images.count * input.stride
    guard drops && work.pass.isTraining else { return result.update(from: source, count: count) }
    let first = work.images.lowerBound
    mask.fill(
      factors.start + first, from: work.firstOfPass, count: work.images.count,
      identity: work.pass.identity)
    for image in 0..<work.images.count {
      let factor = factors.start[first + image]
      for at in (image * input.stride)..<((image + 1) * input.stride) {
        result[at] = factor * source[at]
      }
    }
  }

  func backward(_ work: TrainingWork, round: Int, _ scratch: UnsafeMutableRawPointer) {
    guard input.hasGradient else { return }
    let outer = output.gradient(work)
    if drops {
      for image in 0..<work.images.count {
        let factor = factors.start[work.images.lowerBound + image]
        for at in (image * input.stride)..<((image + 1) * input.stride) { outer[at] *= factor }
      }
    }
    pass(outer, to: 0, work)
  }
}

/// Means over windows that divide an image of any size into a fixed number of outputs.
final class AdaptivePoolingInstruction: TrainingInstructionBase, TrainingInstruction {
  private let windows: [AdaptiveWindow]

  init(_ context: TrainingContext) {
    windows = AdaptiveWindow.all(from: context.input.image, to: context.output.image)
    super.init(context.node.path, context.inputs, context.output)
  }

  func forward(_ work: TrainingWork, round: Int, _ scratch: UnsafeMutableRawPointer) {
    let (source, result) = (input.values(work), output.values(work))
    let (channels, width) = (input.channels, input.image.width)
    for image in 0..<work.images.count {
      for (index, window) in windows.enumerated() {
        let target = result + image * output.stride + index * channels
        target.update(repeating: 0, count: channels)
        for row in window.rows {
          for column in window.columns {
            let pixel = source + image * input.stride + (row * width + column) * channels
            thaw_add(target, pixel, Int64(channels))
          }
        }
        for channel in 0..<channels { target[channel] /= Float(window.count) }
      }
    }
  }

  func backward(_ work: TrainingWork, round: Int, _ scratch: UnsafeMutableRawPointer) {
    guard input.hasGradient else { return }
    let (outer, target) = (output.gradient(work), startedGradient(0, work))
    let (channels, width) = (input.channels, input.image.width)
    for image in 0..<work.images.count {
      for (index, window) in windows.enumerated() {
        let share = outer + image * output.stride + index * channels
        for channel in 0..<channels { share[channel] /= Float(window.count) }
        for row in window.rows {
          for column in window.columns {
            let pixel = target + image * input.stride + (row * width + column) * channels
            thaw_add(pixel, share, Int64(channels))
          }
        }
      }
    }
  }
}
