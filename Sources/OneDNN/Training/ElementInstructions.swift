// SPDX-License-Identifier: Apache-2.0

import CThawKernels
import Glibc
import ThawExecution
import ThawNetwork
import ThawTensors

/// An element-wise function that no other instruction has absorbed.
final class ActivationInstruction: TrainingInstructionBase, TrainingInstruction {
  private let function: Activation

  init(_ function: Activation, _ context: TrainingContext) {
    self.function = function
    super.init(context.node.path, context.inputs, context.output)
  }

  override var keepsInputs: [Bool] { [function.rectifier == nil && output.hasGradient] }
  override var keepsOutput: Bool { function.rectifier != nil && output.hasGradient }
  override var canShareGradient: [Bool] { [function.rectifier != nil] }

  func forward(
    _ work: TrainingWork, round: Int, _ scratch: UnsafeMutableRawPointer
  ) {
    let (x, y) = (input.values(work), output.values(work))
    let count = work.images.count * output.stride
    switch function {
    case .relu, .relu6: thaw_rectify(x, function.rectifier ?? THAW_IDENTITY, y, Int64(count))
    case .silu: thaw_silu(x, y, Int64(count))
    case .sigmoid: thaw_sigmoid(x, y, Int64(count))
    case .gelu: thaw_gelu(x, y, Int64(count))
    case .geluTanh: thaw_gelu_tanh(x, y, Int64(count))
    case .quickGELU: thaw_quick_gelu(x, y, Int64(count))
    case .hardSigmoid: thaw_hard_sigmoid(x, y, Int64(count))
    case .hardSwish: thaw_hard_swish(x, y, Int64(count))
    }
  }

  func backward(
    _ work: TrainingWork, round: Int, _ scratch: UnsafeMutableRawPointer
  ) {
    guard input.hasGradient else { return }
    let outer = output.gradient(work)
    let count = Int64(work.images.count * output.stride)
    switch function {
    case .relu, .relu6:
      thaw_rectify_backward(
        outer, output.values(work), function.rectifier ?? THAW_IDENTITY, outer, count)
    case .silu: thaw_silu_backward(outer, input.values(work), outer, count)
    case .sigmoid: thaw_sigmoid_backward(outer, input.values(work), outer, count)
    case .gelu: thaw_gelu_backward(outer, input.values(work), outer, count)
    case .geluTanh: thaw_gelu_tanh_backward(outer, input.values(work), outer, count)
    case .quickGELU: thaw_quick_gelu_backward(outer, input.values(work), outer, count)
    case .hardSigmoid: thaw_hard_sigmoid_backward(outer, input.values(work), outer, count)
    case .hardSwish: thaw_hard_swish_backward(outer, input.values(work), outer, count)
    }
    pass(outer, to: 0, work)
  }
}

/// Dropout: multiplies by a mask of 0 and 1 / (1 - probability) in training, copies otherwise.
///
/// The mask is that of the reference engine, element for element in PyTorch's order.
final class DropoutInstruction: TrainingInstructionBase, TrainingInstruction {
  private let mask: DropoutMask
  private let drops: Bool
  /// The factors of the last training pass: [N, H, W, C] or [N, F].
  private var factors: AlignedStorage<Float>

  init(_ probability: Double, _ context: TrainingContext) {
    mask = DropoutMask(probability: probability, layer: context.node.path)
    drops = probability > 0
    factors = AlignedStorage(count: drops ? context.output.shape.count : 0)
    super.init(context.node.path, context.inputs, context.output)
  }

  override var canShareGradient: [Bool] { [true] }
  override var scratchBytes: Int { drops && input.plane > 1 ? input.stride * 4 : 0 }
  override func hold(images: Int) {
    if drops { factors = AlignedStorage(count: images * output.stride) }
  }

  func forward(
    _ work: TrainingWork, round: Int, _ scratch: UnsafeMutableRawPointer
  ) {
    let (source, result) = (input.values(work), output.values(work))
    let count = work.images.count * input.stride
    guard drops && work.pass.isTraining else { return result.update(from: source, count: count) }
    let factors = factors.start + work.images.lowerBound * input.stride
    let first = work.firstOfPass * input.stride
    if input.plane == 1 {
      mask.fill(factors, from: first, count: count, identity: work.pass.identity)
    } else {
      let ordered = scratch.assumingMemoryBound(to: Float.self)
      for image in 0..<work.images.count {
        let start = image * input.stride
        mask.fill(
          ordered, from: first + start, count: input.stride, identity: work.pass.identity)
        thaw_transpose(
          ordered, Int64(input.channels), Int64(input.plane), false, factors + start)
      }
    }
    thaw_product(source, factors, false, result, Int64(count))
  }

  func backward(
    _ work: TrainingWork, round: Int, _ scratch: UnsafeMutableRawPointer
  ) {
    guard input.hasGradient else { return }
    let outer = output.gradient(work)
    if drops {
      let factors = factors.start + work.images.lowerBound * input.stride
      thaw_scale(outer, factors, Int64(work.images.count * input.stride))
    }
    pass(outer, to: 0, work)
  }
}

/// A dense layer over the whole batch: y [N, O] = x [N, I] * weight^T [I, O] + bias.
final class DenseInstruction: TrainingInstructionBase, TrainingInstruction {
  private let layer: Dense
  private let weight: PlanParameter<Float>
  private let bias: PlanParameter<Float>?

  init(_ layer: Dense, _ context: TrainingContext) {
    self.layer = layer
    weight = context.required(.weight)
    bias = context.parameter(.bias)
    super.init(context.node.path, context.inputs, context.output)
  }

  override var takesWholeBatch: Bool { true }
  override var keepsInputs: [Bool] { [weight.gradient != nil] }

  func forward(
    _ work: TrainingWork, round: Int, _ scratch: UnsafeMutableRawPointer
  ) {
    let result = output.values(work)
    if let bias {
      for row in 0..<work.images.count {
        (result + row * layer.outputs).update(from: bias.values, count: layer.outputs)
      }
    }
    LinearAlgebra.multiply(
      MatrixView(input.values(work), rows: work.images.count, columns: layer.inputs),
      MatrixView(weight.values, rows: layer.inputs, columns: layer.outputs, transposed: true),
      into: result, beta: bias == nil ? 0 : 1)
  }

  func backward(
    _ work: TrainingWork, round: Int, _ scratch: UnsafeMutableRawPointer
  ) {
    let outer = output.gradient(work)
    let rows = work.images.count
    if let gradient = weight.gradient {
      // dW [O, I] += dY^T [O, N] * X [N, I]
      LinearAlgebra.multiply(
        MatrixView(outer, rows: layer.outputs, columns: rows, transposed: true),
        MatrixView(input.values(work), rows: rows, columns: layer.inputs), into: gradient, beta: 1)
    }
    if let gradient = bias?.gradient {
      ElementLoops.addBiasGradient(
        of: outer, to: gradient, rows: rows, channels: layer.outputs, plane: 1)
    }
    guard input.hasGradient else { return }
    // dX [N, I] += dY [N, O] * W [O, I]
    LinearAlgebra.multiply(
      MatrixView(outer, rows: rows, columns: layer.outputs),
      MatrixView(weight.values, rows: layer.outputs, columns: layer.inputs),
      into: input.gradient(work), beta: accumulates[0] ? 1 : 0)
  }
}
