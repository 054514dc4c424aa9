// SPDX-License-Identifier: Apache-2.0

package import ThawNetwork
package import ThawTensors

/// A compiled piece of a network that trains: features (or pixels) in, logits out, gradients back.
///
/// Owns the working copy of its parameters, row major in PyTorch's layout; an optimizer changes them in
/// place, element by element, through ``withTrainable(_:)``. Not thread-safe.
package protocol TrainingPlan: AnyObject {
  /// The engine that runs it, for example `oneDNN 2.6.3`: not that of the ``Compiler`` where it has no
  /// kernel for one of the layers. For messages and for the keys of what is stored.
  var engineName: String { get }
  /// What the compiler's own engine has no kernel for, when another one runs this plan instead.
  var refusal: ExecutionError? { get set }
  /// [batch, …]: the largest batch a step may have; smaller ones are allowed.
  var inputShape: Shape { get }
  /// [batch, classes].
  var outputShape: Shape { get }
  /// The parameters that have gradients, in order of computation. A frozen parameter is not here: it
  /// has no gradient, not a zero one.
  var trainable: [ParameterDescription] { get }

  /// Forward pass in training, keeping what ``backward(_:)`` needs.
  ///
  /// - Parameters:
  ///   - input: n samples, 1 <= n <= batch.
  ///   - output: n rows of logits are written here.
  /// - Throws: ``NetworkError/degenerateBatch(layer:)``, ``ExecutionError``.
  func forward(
    _ input: UnsafeBufferPointer<Float>, step: StepIdentity,
    into output: UnsafeMutableBufferPointer<Float>) throws

  /// Adds the gradient of the last forward pass to the accumulated gradients.
  ///
  /// - Parameter gradient: d loss / d logits, n rows, of the batch given to the last forward pass.
  func backward(_ gradient: UnsafeBufferPointer<Float>) throws

  /// Sets all accumulated gradients to zero.
  func clearGradients()

  /// Calls `body` once for each of ``trainable`` with its values and accumulated gradient, both row
  /// major in PyTorch's layout.
  func withTrainable(
    _ body: (
      ParameterDescription, _ values: UnsafeMutableBufferPointer<Float>,
      _ gradient: UnsafeMutableBufferPointer<Float>
    ) throws -> Void) rethrows

  /// Forward pass as in inference (running statistics, no dropout), for any number of samples.
  func evaluate(
    _ input: UnsafeBufferPointer<Float>, into output: UnsafeMutableBufferPointer<Float>) throws

  /// The current values of every parameter and statistic of this piece, in PyTorch's layout.
  func exportParameters() -> Parameters

  /// Replaces the values of every parameter and statistic of this piece.
  ///
  /// - Throws: ``NetworkError`` when one is missing or has another shape.
  func importParameters(_ parameters: Parameters) throws

  /// The accumulated gradient of one trainable parameter, in PyTorch's layout; nil when frozen.
  func gradient(of path: ParameterPath) -> Tensor<Float>?
}
