// SPDX-License-Identifier: Apache-2.0

import CThawKernels
import ThawExecution
import ThawNetwork
import ThawTensors

/// Pooling of a sequence by one query that is learned; keeps its input alone, see ``AttentionPoolingKernel``.
final class AttentionPoolingInstruction: TrainingInstructionBase, TrainingInstruction {
  private let kernel: AttentionPoolingKernel
  private let layer: AttentionPooling
  /// Of the latent token, of the projection; or the query alone.
  private let parameters: [PlanParameter<Float>]
  /// [C].
  private let query: AlignedStorage<Float>
  /// Each lane's gradients of the query, [C].
  private let sums: [AlignedStorage<Float>]
  private let trains: Bool

  init(_ layer: AttentionPooling, _ context: TrainingContext) {
    self.layer = layer
    kernel = AttentionPoolingKernel(layer: layer, tokens: context.input.plane)
    parameters = context.parameters
    query = AlignedStorage(count: layer.channels)
    sums = (0..<context.lanes).map { _ in AlignedStorage(count: layer.channels) }
    trains = context.parameters.contains { $0.gradient != nil }
    super.init(context.node.path, context.inputs, context.output)
  }

  override var keepsInputs: [Bool] { [output.hasGradient && (input.hasGradient || trains)] }
  /// The kernel's, and an image's gradient where it is added to another or goes no further.
  override var scratchBytes: Int {
    (kernel.backwardWorkCount + input.stride) * MemoryLayout<Float>.stride
  }
  override var parameterCount: Int { parameters.reduce(0) { $0 + $1.count } }

  override func prepare(_ scratch: UnsafeMutableRawPointer) {
    guard layer.hasProjection else {
      return query.start.update(from: parameters[0].values, count: layer.channels)
    }
    query.start.update(from: parameters[2].values, count: layer.channels)
    LinearAlgebra.multiply(
      MatrixView(parameters[1].values, rows: layer.channels, columns: layer.channels),
      MatrixView(parameters[0].values, rows: layer.channels, columns: 1), into: query.start,
      beta: 1)
  }

  func forward(
    _ work: TrainingWork, round: Int, _ scratch: UnsafeMutableRawPointer
  ) throws(ExecutionError) {
    let working = scratch.assumingMemoryBound(to: Float.self)
    for image in 0..<work.images.count {
      try ThawOneDNN.check(
        kernel.forward(
          input.values(work) + image * input.stride, query.start,
          into: output.values(work) + image * output.stride, working), "attention pooling", path)
    }
  }

  override func startBackward() { for lane in sums { lane.elements.update(repeating: 0) } }

  func backward(
    _ work: TrainingWork, round: Int, _ scratch: UnsafeMutableRawPointer
  ) throws(ExecutionError) {
    guard input.hasGradient || trains else { return }
    let working = scratch.assumingMemoryBound(to: Float.self)
    let separate = working + kernel.backwardWorkCount
    for image in 0..<work.images.count {
      let own = input.hasGradient ? input.gradient(work) + image * input.stride : separate
      let target = accumulates[0] ? separate : own
      try ThawOneDNN.check(
        kernel.backward(
          output.gradient(work) + image * output.stride,
          input.values(work) + image * input.stride, query.start, into: target, working,
          querySums: sums[work.lane].start), "attention pooling backward", path)
      if input.hasGradient && accumulates[0] { thaw_add(own, separate, Int64(input.stride)) }
    }
  }

  override func reduce(_ scratch: UnsafeMutableRawPointer) {
    guard output.hasGradient, trains, let total = sums.first?.start else { return }
    for lane in sums.dropFirst() { thaw_add(total, lane.start, Int64(layer.channels)) }
    guard layer.hasProjection else {
      if let gradient = parameters[0].gradient {
        thaw_add(gradient, total, Int64(layer.channels))
      }
      return
    }
    let (count, weight) = (layer.channels, parameters[1])
    if let gradient = parameters[0].gradient {
      LinearAlgebra.multiply(
        MatrixView(weight.values, rows: count, columns: count, transposed: true),
        MatrixView(total, rows: count, columns: 1), into: gradient, beta: 1)
    }
    if let gradient = weight.gradient {
      LinearAlgebra.multiply(
        MatrixView(total, rows: count, columns: 1),
        MatrixView(parameters[0].values, rows: 1, columns: count), into: gradient, beta: 1)
    }
    if let gradient = parameters[2].gradient { thaw_add(gradient, total, Int64(count)) }
  }
}
