// SPDX-License-Identifier: Apache-2.0

import ThawExecution
import ThawNetwork
import ThawTensors

/// A compiled part of a plan: its chain, and how many images go through it at once. Immutable.
final class OneDNNSegment {
  /// Kernels of one thread, so that nothing in a result depends on how many there are: a kernel made for
  /// several splits its sums among them.
  let chain: OneDNNChain
  /// Images a pass.
  let batch: Int
  /// Elements of one image.
  let inputStride: Int
  /// Elements of one result.
  let outputStride: Int

  /// Compiles `operations` for passes of `batch` images.
  init(
    _ graph: Graph, operations: [FusedOperation], from source: NodeID, parameters: Parameters,
    batch: Int,
    size: Extent2D, observer: LayerObserver? = nil
  ) throws {
    let shapes = try graph.shapes(batch: batch, size: size)
    let result = operations.last?.result ?? source
    let (input, output) = (shapes[source.index].count, shapes[result.index].count)
    chain = try withSingleThreadedKernels {
      var builder = try ChainBuilder(
        graph, operations: operations, from: source, parameters: parameters, shapes: shapes)
      try builder.roundToBytes(source)
      for (index, operation) in operations.enumerated() {
        try builder.appendInPrecision(operation, at: index)
        if let observer { try builder.appendObservation(of: operation.result, by: observer) }
      }
      let parts = try builder.finish(result)
      return try OneDNNChain(
        parts.instructions, buffers: parts.buffers,
        inputBytes: input * MemoryLayout<Float>.stride,
        outputBytes: output * MemoryLayout<Float>.stride)
    }
    self.batch = batch
    inputStride = input / batch
    outputStride = output / batch
  }
}

/// The memory in which one caller runs a segment.
final class OneDNNSegmentMemory {
  private let segment: OneDNNSegment
  private let lanes: OneDNNLanes
  // One padded pass, for what does not fill one; made beforehand so that `run` takes no memory.
  private let paddedInput: AlignedStorage<Float>
  private let paddedOutput: AlignedStorage<Float>

  /// Takes the memory of `lanes` passes at once.
  init(_ segment: OneDNNSegment, lanes: Int) throws(ExecutionError) {
    self.segment = segment
    self.lanes = try OneDNNLanes(segment.chain, count: lanes)
    let batch = segment.batch
    paddedInput = AlignedStorage(count: batch > 1 ? batch * segment.inputStride : 0)
    paddedOutput = AlignedStorage(count: batch > 1 ? batch * segment.outputStride : 0)
  }

  /// Computes `images` results; a last pass that is not full is padded with zeros.
  func run(
    _ input: UnsafePointer<Float>, into output: UnsafeMutablePointer<Float>, images: Int
  ) throws(ExecutionError) {
    let (inputStride, outputStride) = (segment.inputStride, segment.outputStride)
    let passes = images / segment.batch
    if passes > 0 { try lanes.run(input, into: output, passes: passes) }
    let done = passes * segment.batch
    let rest = images - done
    guard rest > 0, let from = paddedInput.elements.baseAddress,
      let to = paddedOutput.elements.baseAddress
    else { return }
    from.update(from: input + done * inputStride, count: rest * inputStride)
    (from + rest * inputStride).update(
      repeating: 0, count: (segment.batch - rest) * inputStride)
    try lanes.run(from, into: to, passes: 1)
    (output + done * outputStride).update(from: to, count: rest * outputStride)
  }

  /// Calls `body` while adding up the wall time of each instruction, in seconds over all lanes.
  func profile(_ body: () throws -> Void) rethrows -> [Double] { try lanes.profile(body) }
}
