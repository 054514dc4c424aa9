// SPDX-License-Identifier: Apache-2.0

package import ThawExecution
package import ThawNetwork
package import ThawTensors

/// A compiled inference chain: images one by one in parallel lanes up to the first dense layer, then
/// whole micro-batches in parallel lanes through the dense layers.
///
/// In a lane everything between two layers stays in the core's cache and no thread waits for another
/// before the next image; a dense layer, in contrast, reads its weights once for a whole micro-batch.
/// Images for which there are not enough lanes, such as a single photo, are shared: every instruction is
/// cut into parts, and threads meet after each.
///
/// Kernels and weights are immutable and shared with every worker (``makeWorker()``); the memory that a
/// run writes belongs to the plan, so a plan, like a worker, has one caller at a time. However many
/// threads there are and OpenMP grants, and on a worker's single one, the results are the same to the
/// bit.
package final class OneDNNPlan: InferencePlan {
  package let inputShape: Shape
  package let outputShape: Shape
  /// Read by the plan and its workers, written by none.
  private let segments: [OneDNNSegment]
  private let memory: [OneDNNSegmentMemory]
  private let threads: Int
  /// Images between two segments: a micro-batch for each lane.
  private let group: Int
  /// What crosses from one segment to the other, [group, features].
  private let crossing: AlignedStorage<Float>

  /// A plan for one caller, whose memory is taken as it is needed.
  ///
  /// - Parameter lanes: how many threads compute at most; 1 for the caller's alone.
  init(_ segments: [OneDNNSegment], inputShape: Shape, outputShape: Shape, lanes: Int) {
    self.segments = segments
    self.inputShape = inputShape
    self.outputShape = outputShape
    threads = lanes
    memory = segments.map { OneDNNSegmentMemory($0, threads: lanes) }
    group = inputShape[0] * lanes
    crossing = AlignedStorage(count: segments.count > 1 ? group * segments[0].outputStride : 0)
  }

  package func makeWorker(threads: Int) throws -> any InferencePlan {
    let worker = OneDNNPlan(
      segments, inputShape: inputShape, outputShape: outputShape, lanes: threads)
    for memory in worker.memory { try memory.prepare() }
    return worker
  }

  package func run(
    _ input: UnsafeBufferPointer<Float>, into output: UnsafeMutableBufferPointer<Float>
  ) throws { try run(input, into: output, threads: threads) }

  package func run(
    _ input: UnsafeBufferPointer<Float>, into output: UnsafeMutableBufferPointer<Float>,
    threads: Int
  ) throws {
    let threads = max(min(threads, self.threads), 1)
    let images = input.count / inputStride
    precondition(
      input.count == images * inputStride,
      "\(input.count) elements do not hold whole images of \(inputStride).")
    precondition(
      output.count >= images * outputStride,
      "\(images) results of \(outputStride) elements do not fit into \(output.count).")
    guard images > 0, let from = input.baseAddress, let to = output.baseAddress else { return }
    guard memory.count == 2, let middle = crossing.elements.baseAddress else {
      return try memory[0].run(from, into: to, images: images, threads: threads)
    }
    for first in stride(from: 0, to: images, by: group) {
      let count = min(group, images - first)
      try memory[0].run(
        from + first * inputStride, into: middle, images: count, threads: threads)
      try memory[1].run(
        middle, into: to + first * outputStride, images: count, threads: threads)
    }
  }
}

extension OneDNNPlan {
  /// What one kernel call did in a profile.
  package struct InstructionTime {
    /// Layer it belongs to.
    package let layer: ParameterPath
    /// For example `convolution`.
    package let operation: String
    /// The library's name of the kernel.
    package let kernel: String
    /// Wall time, summed over the lanes; of images that threads share, until the last has done.
    package let seconds: Double
  }

  /// Runs once and tells the time of every kernel call.
  package func profile(
    _ input: UnsafeBufferPointer<Float>, into output: UnsafeMutableBufferPointer<Float>
  ) throws -> [InstructionTime] {
    var times: [[Double]] = memory.map { _ in [] }
    func nest(_ index: Int) throws {
      guard index < memory.count else { return try run(input, into: output) }
      times[index] = try memory[index].profile { try nest(index + 1) }
    }
    try nest(0)
    return zip(segments, times).flatMap { segment, seconds in
      zip(segment.instructions, seconds).map {
        InstructionTime(
          layer: $0.layer, operation: $0.operation, kernel: $0.work.kernel, seconds: $1)
      }
    }
  }

  /// Of each kernel call, in order, into how many parts it is cut for an image that threads share.
  package func parts() throws -> [(layer: ParameterPath, kernel: String, parts: Int)] {
    try zip(segments, memory).flatMap { segment, memory in
      let counts = try memory.partCounts()
      return segment.instructions.indices.map {
        let instruction = segment.instructions[$0]
        return (instruction.layer, instruction.work.kernel, counts?[$0] ?? 1)
      }
    }
  }

  /// Tries on made-up numbers whether parts of convolutions give their bits, for tests: those that are cut, and
  /// those of them that agree.
  package func partsThatAgree(
    _ count: Int, leavingOut dropped: Int = 0
  ) throws -> (cut: Int, agreeing: Int) {
    let found = try withSingleThreadedKernels {
      try segments.flatMap(\.instructions).compactMap {
        try $0.partsAgree(count, leavingOut: dropped)
      }
    }
    return (found.count, found.count { $0 })
  }

  /// Reorders between two kernels, that is neither of the input nor into the output.
  package var innerReorders: Int {
    segments.map { segment in
      segment.instructions.dropFirst().dropLast().count { $0.operation == "reorder" }
    }.reduce(0, +)
  }

  /// Memory of one lane for activations and scratchpads, in bytes.
  package func arenaBytes() throws -> Int { try memory.map { try $0.arenaBytes() }.max() ?? 0 }
}
