// SPDX-License-Identifier: Apache-2.0

package import ThawTensors

/// A compiled, frozen piece of a network: pixels (or features) in, features (or logits) out.
///
/// Always works in micro-batches of one fixed size and pads the last one, so the numbers computed for
/// a photo do not depend on which others are asked for with it.
///
/// A plan has one caller at a time: a run writes to the plan's own work memory. Whoever computes on
/// several threads of its own gives each a worker (``makeWorker()``); workers and the plan may run at
/// the same time, because what they share, kernels and weights, is never written.
package protocol InferencePlan: AnyObject {
  /// [microBatch, C, H, W] (or [microBatch, F]), Float32, dense row major.
  var inputShape: Shape { get }
  /// Shape of the result for one micro-batch.
  var outputShape: Shape { get }

  /// Computes the result of as many images as `input` holds.
  ///
  /// - Parameters:
  ///   - input: n images, each of `inputShape.count / inputShape[0]` elements; any n.
  ///   - output: room for n results.
  /// - Throws: ``ExecutionError``.
  func run(
    _ input: UnsafeBufferPointer<Float>, into output: UnsafeMutableBufferPointer<Float>) throws

  /// The same on at most so many threads, which is for workers (``makeWorker(threads:)``) whose caller knows
  /// how many are idle. The bits are the same.
  func run(
    _ input: UnsafeBufferPointer<Float>, into output: UnsafeMutableBufferPointer<Float>,
    threads: Int) throws

  /// A plan of the same network for another caller: shares kernels and weights with this one, has work
  /// memory of its own and gives the same bits.
  ///
  /// It may be made while this plan runs. On the oneDNN engine it computes on its caller's thread, and on
  /// others only as far as both `threads` and a run allow; on the reference engine matrix products may use
  /// OpenBLAS's threads.
  /// - Throws: ``ExecutionError`` when there is no memory for it.
  func makeWorker(threads: Int) throws -> any InferencePlan
}

extension InferencePlan {
  /// A worker that computes on its caller's thread alone.
  package func makeWorker() throws -> any InferencePlan { try makeWorker(threads: 1) }

  /// For engines that do not share an image among threads.
  package func run(
    _ input: UnsafeBufferPointer<Float>, into output: UnsafeMutableBufferPointer<Float>,
    threads: Int
  ) throws { try run(input, into: output) }

  /// Elements of one image in the input.
  package var inputStride: Int { inputShape.count / inputShape[0] }
  /// Elements of one image's result.
  package var outputStride: Int { outputShape.count / outputShape[0] }

  /// Computes the results of a whole tensor of images, [n, …] to [n, …].
  package func run(_ input: Tensor<Float>) throws -> Tensor<Float> {
    let images = input.count / inputStride
    precondition(
      input.count == images * inputStride,
      "\(input.shape) does not hold whole \(inputShape) images.")
    return try Tensor(shape: Shape([images] + outputShape.extents.dropFirst())) { output in
      try input.withUnsafeElements { try run($0, into: output) }
    }
  }
}
