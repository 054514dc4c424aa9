// SPDX-License-Identifier: Apache-2.0

extension ReferenceTrainingPlan {
  /// d loss / d result of the plan's first layer, after a backward pass, [n, …] of the last batch; nil
  /// when nothing at or before that layer trains.
  ///
  /// No later layer of a backward pass uses its memory: it is the last gradient that is made.
  package var firstLayerGradient: [Scalar]? {
    guard let pass = lastPass, let first = program.instructions.first,
      let gradient = first.output.gradient
    else { return nil }
    return Array(UnsafeBufferPointer(start: gradient, count: pass.count * first.output.stride))
  }
}
