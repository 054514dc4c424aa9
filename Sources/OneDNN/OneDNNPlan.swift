// SPDX-License-Identifier: Apache-2.0

import ThawExecution
package import ThawNetwork
package import ThawTensors

/// A compiled inference chain: images one by one in parallel lanes up to the first dense layer, then
/// the dense layers over the whole micro-batch.
///
/// In a lane everything between two layers stays in the core's cache and no thread waits for another
/// before the next image; a dense layer, in contrast, reads its weights once for the whole batch.
package final class OneDNNPlan: InferencePlan {
  package let inputShape: Shape
  package let outputShape: Shape
  let segments: [OneDNNSegment]
  private let crossing: AlignedStorage<Float>

  init(_ segments: [OneDNNSegment], inputShape: Shape, outputShape: Shape) {
    self.segments = segments
    self.inputShape = inputShape
    self.outputShape = outputShape
    let width = segments.count > 1 ? segments[0].outputStride : 0
    crossing = AlignedStorage(count: inputShape[0] * width)
  }

  package func run(
    _ input: UnsafeBufferPointer<Float>, into output: UnsafeMutableBufferPointer<Float>
  ) throws {
    let images = input.count / inputStride
    precondition(
      input.count == images * inputStride,
      "\(input.count) elements do not hold whole images of \(inputStride).")
    precondition(
      output.count >= images * outputStride,
      "\(images) results of \(outputStride) elements do not fit into \(output.count).")
    guard images > 0, let from = input.baseAddress, let to = output.baseAddress else { return }
    guard segments.count == 2, let middle = crossing.elements.baseAddress else {
      return try segments[0].run(from, into: to, images: images)
    }
    let microBatch = inputShape[0]
    for first in stride(from: 0, to: images, by: microBatch) {
      let count = min(microBatch, images - first)
      try segments[0].run(from + first * inputStride, into: middle, images: count)
      try segments[1].run(middle, into: to + first * outputStride, images: count)
    }
  }
}

extension OneDNNPlan {
  /// What one kernel call did in a profile.
  package struct StepTime {
    /// Layer it belongs to.
    package let layer: ParameterPath
    /// For example `convolution`.
    package let operation: String
    /// The library's name of the kernel.
    package let kernel: String
    /// Wall time, summed over the lanes.
    package let seconds: Double
  }

  /// Runs once and tells the time of every kernel call.
  package func profile(
    _ input: UnsafeBufferPointer<Float>, into output: UnsafeMutableBufferPointer<Float>
  ) throws -> [StepTime] {
    var times: [[Double]] = segments.map { _ in [] }
    func nest(_ index: Int) throws {
      guard index < segments.count else { return try run(input, into: output) }
      times[index] = try segments[index].chain.profile { try nest(index + 1) }
    }
    try nest(0)
    return zip(segments, times).flatMap { segment, seconds in
      zip(segment.chain.instructions, seconds).map {
        StepTime(
          layer: $0.layer, operation: $0.operation, kernel: $0.primitive.kernel, seconds: $1)
      }
    }
  }

  /// Reorders between two kernels, that is neither of the input nor into the output.
  package var innerReorders: Int {
    segments.map { segment in
      segment.chain.instructions.dropFirst().dropLast().count { $0.operation == "reorder" }
    }.reduce(0, +)
  }

  /// Memory of one lane for activations and scratchpads, in bytes.
  package var arenaBytes: Int { segments.map(\.chain.arenaBytes).max() ?? 0 }
}
