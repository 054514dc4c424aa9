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
  /// Nil where none are added.
  private let positions: PlanParameter<Float>?
  /// Nil where every patch has a position of its own.
  private let matrix: PositionMatrix?
  /// What is added to the patches, or stands before them: [T, C].
  private let rows: AlignedStorage<Float>
  /// Sums of each lane's dy, [T, C]; empty where nothing trains.
  private let sums: [AlignedStorage<Float>]

  init(_ layer: TokenSequence, _ context: TrainingContext) {
    self.layer = layer
    before = Array(context.parameters.dropLast(layer.hasPositions ? 1 : 0))
    positions = layer.hasPositions ? context.parameters.last : nil
    let weights =
      layer.hasPositions
      ? layer.resampling.matrix(from: layer.grid, to: context.input.image) : nil
    matrix = weights.map(PositionMatrix.init)
    rows = AlignedStorage(count: context.output.stride)
    let count = context.output.stride
    let trains = context.parameters.contains { $0.gradient != nil }
    let lanes = trains ? context.lanes : 0
    sums = (0..<lanes).map { _ in AlignedStorage(count: count) }
    super.init(context.node.path, context.inputs, context.output)
  }

  private var prefixCount: Int { layer.prefix * layer.channels }
  private var positionedCount: Int { layer.positioned * layer.channels }

  override var parameterCount: Int { positions?.count ?? 0 }

  override func prepare(_ scratch: UnsafeMutableRawPointer) {
    var token = rows.start
    for parameter in before {
      token.update(from: parameter.values, count: parameter.count)
      token += parameter.count
    }
    guard let positions else { return token.update(repeating: 0, count: input.stride) }
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
    guard output.hasGradient else { return }
    let gradient = positions?.gradient
    for lane in sums {
      var sum = UnsafePointer(lane.start)
      if let gradient { thaw_add(gradient, sum, Int64(positionedCount)) }
      for parameter in before {
        if let own = parameter.gradient { thaw_add(own, sum, Int64(parameter.count)) }
        sum += parameter.count
      }
      guard let gradient else { continue }
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
  private let channels: Int
  /// Biases of queries and of values; empty where there are none.
  private let biases: [PlanParameter<Float>]
  /// Their values side by side, [2, C].
  private let biasRows: AlignedStorage<Float>
  /// Each lane's sums of the gradients of queries and results, [2, C]; empty where no bias trains.
  private let sums: [AlignedStorage<Float>]

  init(_ layer: Attention, _ context: TrainingContext) {
    kernel = AttentionKernel(layer: layer, tokens: context.output.plane, angles: context.angles)
    channels = layer.channels
    biases = context.parameters
    let count = 2 * layer.channels
    biasRows = AlignedStorage(count: biases.isEmpty ? 0 : count)
    let trains = biases.contains { $0.gradient != nil }
    sums = (0..<(trains ? context.lanes : 0)).map { _ in AlignedStorage(count: count) }
    super.init(context.node.path, context.inputs, context.output)
  }

  override var keepsInputs: [Bool] {
    [output.hasGradient && (input.hasGradient || !sums.isEmpty)]
  }
  /// The kernel's, and an image's gradient where it is added to another or goes no further.
  override var scratchBytes: Int {
    (kernel.backwardWorkCount + input.stride) * MemoryLayout<Float>.stride
  }
  override var parameterCount: Int { biases.reduce(0) { $0 + $1.count } }

  private var biasStart: UnsafePointer<Float>? {
    biases.isEmpty ? nil : UnsafePointer(biasRows.start)
  }

  override func prepare(_ scratch: UnsafeMutableRawPointer) {
    for (index, bias) in biases.enumerated() {
      (biasRows.start + index * channels).update(from: bias.values, count: channels)
    }
  }

  func forward(
    _ work: TrainingWork, round: Int, _ scratch: UnsafeMutableRawPointer
  ) throws(ExecutionError) {
    let working = scratch.assumingMemoryBound(to: Float.self)
    for image in 0..<work.images.count {
      try check(
        kernel.forward(
          input.values(work) + image * input.stride, biasStart,
          into: output.values(work) + image * output.stride, working), "attention", path)
    }
  }

  override func startBackward() { for lane in sums { lane.elements.update(repeating: 0) } }

  func backward(
    _ work: TrainingWork, round: Int, _ scratch: UnsafeMutableRawPointer
  ) throws(ExecutionError) {
    guard input.hasGradient || !sums.isEmpty else { return }
    let working = scratch.assumingMemoryBound(to: Float.self)
    let separate = working + kernel.backwardWorkCount
    for image in 0..<work.images.count {
      let outer = output.gradient(work) + image * output.stride
      let own = input.hasGradient ? input.gradient(work) + image * input.stride : separate
      let target = accumulates[0] ? separate : own
      try check(
        kernel.backward(
          outer, input.values(work) + image * input.stride, biasStart, into: target, working),
        "attention backward", path)
      if !sums.isEmpty { addSums(target, outer, to: sums[work.lane].start) }
      if input.hasGradient && accumulates[0] { thaw_add(own, separate, Int64(input.stride)) }
    }
  }

  /// Adds an image's gradients of queries and of results, each summed over the tokens.
  private func addSums(
    _ gradient: UnsafePointer<Float>, _ outer: UnsafePointer<Float>,
    to sums: UnsafeMutablePointer<Float>
  ) {
    for token in 0..<kernel.tokens {
      thaw_add(sums, gradient + token * 3 * channels, Int64(channels))
      thaw_add(sums + channels, outer + token * channels, Int64(channels))
    }
  }

  override func reduce(_ scratch: UnsafeMutableRawPointer) {
    guard output.hasGradient else { return }
    for lane in sums {
      for (index, bias) in biases.enumerated() {
        if let gradient = bias.gradient {
          thaw_add(gradient, lane.start + index * channels, Int64(channels))
        }
      }
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
