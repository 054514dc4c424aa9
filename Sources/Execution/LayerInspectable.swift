// SPDX-License-Identifier: Apache-2.0

package import ThawNetwork

/// A plan that can tell which of its layers gave the first result that is NaN or infinite.
package protocol LayerInspectable: TrainingPlan {
  /// Repeats a forward pass in training, looking at the result of every layer in order.
  ///
  /// Running statistics may move: the plan's weights are put back by whoever asks. A following
  /// backward pass needs a new forward pass.
  ///
  /// - Parameters:
  ///   - input: as for `forward`.
  ///   - step: of the pass to repeat, for the same dropout masks.
  /// - Returns: the first layer with a non-finite result; nil when there is none. Layers that are
  ///   executed as one go by the name of the first of them.
  func firstNonFiniteLayer(
    _ input: UnsafeBufferPointer<Float>, step: StepIdentity
  ) throws -> ParameterPath?
}
