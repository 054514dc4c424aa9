// SPDX-License-Identifier: Apache-2.0

package import ThawTensors

/// A compiled, frozen piece of a network: pixels (or features) in, features (or logits) out.
///
/// Always works in micro-batches of one fixed size and pads the last one, so the numbers computed for
/// a photo do not depend on which others are asked for with it. Not thread-safe: one caller at a time.
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
}

extension InferencePlan {
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
