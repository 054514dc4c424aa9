// SPDX-License-Identifier: Apache-2.0

import CThawKernels
import ThawExecution
import ThawNetwork
import ThawTensors

/// A sequence of tokens made of an image of patches: see ``TokenSequence``. Tokens are rows of channels.
final class TokensInstruction: TrainingInstructionBase, TrainingInstruction {
  private let layer: TokenSequence
  /// The class token and the registers, those that exist, in order.
  private let before: [PlanParameter<Float>]
  private let positions: PlanParameter<Float>
  /// Nil where every patch has a position of its own.
  private let matrix: PositionMatrix?
  /// What is added to the patches, or stands before them: [T, C].
  private let rows: AlignedStorage<Float>
  /// Sums of each lane's dy, [T, C]; empty where nothing trains.
  private let sums: [AlignedStorage<Float>]

  init(_ layer: TokenSequence, _ context: TrainingContext) {
    self.layer = layer
    before = Array(context.parameters.dropLast())
    positions = context.parameters[context.parameters.count - 1]
    matrix = layer.resampling.matrix(from: layer.grid, to: context.input.image).map(
      PositionMatrix.init)
    rows = AlignedStorage(count: context.output.stride)
    let count = context.output.stride
    let lanes = positions.gradient == nil ? 0 : context.lanes
    sums = (0..<lanes).map { _ in AlignedStorage(count: count) }
    super.init(context.node.path, context.inputs, context.output)
  }

  private var prefixCount: Int { layer.prefix * layer.channels }
  private var positionedCount: Int { layer.positioned * layer.channels }

  override var parameterCount: Int { positions.count }

  override func prepare(_ scratch: UnsafeMutableRawPointer) {
    var token = rows.start
    for parameter in before {
      token.update(from: parameter.values, count: parameter.count)
      token += parameter.count
    }
    thaw_add(rows.start, positions.values, Int64(positionedCount))
    let grid = positions.values + positionedCount
    if let matrix {
      matrix.apply(grid, into: token, channels: layer.channels)
    } else {
      token.update(from: grid, count: input.stride)
    }
  }

  func forward(_ work: TrainingWork, round: Int, _ scratch: UnsafeMutableRawPointer) {
    for image in 0..<work.images.count {
      let target = output.values(work) + image * output.stride
      target.update(from: rows.start, count: prefixCount)
      thaw_sum(
        input.values(work) + image * input.stride, rows.start + prefixCount, THAW_IDENTITY,
        target + prefixCount, Int64(input.stride))
    }
  }

  override func startBackward() { for lane in sums { lane.elements.update(repeating: 0) } }

  func backward(_ work: TrainingWork, round: Int, _ scratch: UnsafeMutableRawPointer) {
    for image in 0..<work.images.count {
      let outer = output.gradient(work) + image * output.stride
      if !sums.isEmpty { thaw_add(sums[work.lane].start, outer, Int64(output.stride)) }
      guard input.hasGradient else { continue }
      let target = input.gradient(work) + image * input.stride
      if accumulates[0] {
        thaw_add(target, outer + prefixCount, Int64(input.stride))
      } else {
        target.update(from: outer + prefixCount, count: input.stride)
      }
    }
  }

  override func reduce(_ scratch: UnsafeMutableRawPointer) {
    guard output.hasGradient, let gradient = positions.gradient else { return }
    for lane in sums {
      var sum = UnsafePointer(lane.start)
      thaw_add(gradient, sum, Int64(positionedCount))
      for parameter in before {
        if let own = parameter.gradient { thaw_add(own, sum, Int64(parameter.count)) }
        sum += parameter.count
      }
      let grid = gradient + positionedCount
      if let matrix {
        matrix.addTransposed(sum, to: grid, channels: layer.channels)
      } else {
        thaw_add(grid, sum, Int64(input.stride))
      }
    }
  }
}

/// Multi-head self-attention; keeps its input alone, see ``AttentionKernel``.
final class AttentionInstruction: TrainingInstructionBase, TrainingInstruction {
  private let kernel: AttentionKernel

  init(_ layer: Attention, _ context: TrainingContext) {
    kernel = AttentionKernel(layer: layer, tokens: context.output.plane)
    super.init(context.node.path, context.inputs, context.output)
  }

  override var keepsInputs: [Bool] { [output.hasGradient && input.hasGradient] }
  /// Scores and their gradients, and an image's gradient where it is added to another.
  override var scratchBytes: Int {
    (2 * kernel.scoreCount + input.stride) * MemoryLayout<Float>.stride
  }

  func forward(
    _ work: TrainingWork, round: Int, _ scratch: UnsafeMutableRawPointer
  ) throws(ExecutionError) {
    let scores = scratch.assumingMemoryBound(to: Float.self)
    for image in 0..<work.images.count {
      try check(
        kernel.forward(
          input.values(work) + image * input.stride,
          into: output.values(work) + image * output.stride, scores), "attention", path)
    }
  }

  func backward(
    _ work: TrainingWork, round: Int, _ scratch: UnsafeMutableRawPointer
  ) throws(ExecutionError) {
    guard input.hasGradient else { return }
    let scores = scratch.assumingMemoryBound(to: Float.self)
    let separate = scores + 2 * kernel.scoreCount
    for image in 0..<work.images.count {
      let own = input.gradient(work) + image * input.stride
      try check(
        kernel.backward(
          output.gradient(work) + image * output.stride,
          input.values(work) + image * input.stride, into: accumulates[0] ? separate : own, scores),
        "attention backward", path)
      if accumulates[0] { thaw_add(own, separate, Int64(input.stride)) }
    }
  }

  private func check(
    _ status: CInt, _ operation: String, _ layer: ParameterPath
  ) throws(ExecutionError) {
    try ThawOneDNN.check(status, operation, layer)
  }
}

/// Some consecutive tokens of a sequence.
final class TokenSelectionInstruction: TrainingInstructionBase, TrainingInstruction {
  private let first: Int

  init(_ selection: TokenSelection, _ context: TrainingContext) {
    first = selection.first * context.input.channels
    super.init(context.node.path, context.inputs, context.output)
  }

  func forward(_ work: TrainingWork, round: Int, _ scratch: UnsafeMutableRawPointer) {
    for image in 0..<work.images.count {
      (output.values(work) + image * output.stride).update(
        from: input.values(work) + image * input.stride + first, count: output.stride)
    }
  }

  func backward(_ work: TrainingWork, round: Int, _ scratch: UnsafeMutableRawPointer) {
    guard input.hasGradient else { return }
    let target = startedGradient(0, work)
    for image in 0..<work.images.count {
      thaw_add(
        target + image * input.stride + first, output.gradient(work) + image * output.stride,
        Int64(output.stride))
    }
  }
}
