// SPDX-License-Identifier: Apache-2.0

import CThawOneDNN
import ThawExecution
import ThawNetwork
import ThawTensors

/// A chain with the number of images it takes at once and what surrounds it.
final class OneDNNSegment {
  let chain: OneDNNChain
  /// Images a pass.
  let batch: Int
  /// Elements of one image.
  let inputStride: Int
  /// Elements of one result.
  let outputStride: Int
  private let threads: Int
  // One padded pass, for what does not fill one; made with the segment so that `run` takes no memory.
  private let paddedInput: AlignedStorage<Float>
  private let paddedOutput: AlignedStorage<Float>

  /// Compiles `steps` for passes of `batch` images, `lanes` of them at once.
  init(
    _ graph: Graph, steps: [FusedOperation], from source: NodeID, parameters: Parameters,
    batch: Int,
    lanes: Int, threads: Int, size: Extent2D
  ) throws {
    let shapes = try graph.shapes(batch: batch, size: size)
    // Kernels of a chain with lanes run on one thread each; the others use the whole team.
    thaw_dnnl_set_threads(lanes > 1 ? 1 : CInt(clamping: threads))
    defer { thaw_dnnl_set_threads(CInt(clamping: threads)) }
    var builder = try ChainBuilder(
      graph, steps: steps, from: source, parameters: parameters, shapes: shapes)
    for (index, step) in steps.enumerated() { try builder.append(step, at: index) }
    let result = steps.last?.result ?? source
    let parts = try builder.finish(result)
    let (input, output) = (shapes[source.index].count, shapes[result.index].count)
    chain = try OneDNNChain(
      parts.instructions, buffers: parts.buffers, lanes: lanes,
      inputBytes: input * MemoryLayout<Float>.stride,
      outputBytes: output * MemoryLayout<Float>.stride)
    self.batch = batch
    self.threads = threads
    inputStride = input / batch
    outputStride = output / batch
    paddedInput = AlignedStorage(count: batch > 1 ? input : 0)
    paddedOutput = AlignedStorage(count: batch > 1 ? output : 0)
  }

  /// Computes `images` results; a last pass that is not full is padded with zeros.
  func run(
    _ input: UnsafePointer<Float>, into output: UnsafeMutablePointer<Float>, images: Int
  ) throws(ExecutionError) {
    let passes = images / batch
    if passes > 0 { try chain.run(input, into: output, passes: passes, threads: threads) }
    let done = passes * batch
    let rest = images - done
    guard rest > 0, let from = paddedInput.elements.baseAddress,
      let to = paddedOutput.elements.baseAddress
    else { return }
    from.update(from: input + done * inputStride, count: rest * inputStride)
    (from + rest * inputStride).update(repeating: 0, count: (batch - rest) * inputStride)
    try chain.run(from, into: to, passes: 1, threads: threads)
    (output + done * outputStride).update(from: to, count: rest * outputStride)
  }
}
