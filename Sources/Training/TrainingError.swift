// SPDX-License-Identifier: Apache-2.0

/// Training, solving or evaluating could not go on.
package enum TrainingError: Error, Sendable, Equatable, CustomStringConvertible {
  /// A loss or a weight became NaN or infinite. The plan holds the last good weights again.
  ///
  /// Epoch and batch are 0-based; batch is nil when it showed after the epoch's last batch.
  /// `overflow` is where it began, as far as the plan can tell.
  case diverged(epoch: Int, batch: Int?, step: Int, learningRate: Double, overflow: Overflow?)
  /// There is nothing to train on or to evaluate.
  case noSamples(split: String)
  /// Features, logits or probabilities that are NaN or infinite.
  case nonFinite(what: String, sample: Int)
  /// A class, by index, without a single training sample where the method needs one.
  case emptyClass(Int)
  /// Samples cannot be mixed as configured.
  case impossibleMixing(String)
  /// A saved state belongs to another run.
  case incompatibleState(String)

  /// Where, what, next step.
  package var description: String {
    switch self {
    case .diverged(let epoch, let batch, let step, let rate, let overflow):
      "epoch \(epoch + 1), \(batch.map { "batch \($0 + 1)" } ?? "after the last batch")"
        + " (step \(step)): training diverged at learning rate \(rate):"
        + " \(overflow?.description ?? "the loss is not a finite number")."
        + " \(overflow.nextStep) The last good weights are kept."
    case .noSamples(let split):
      "split '\(split)' has no samples. Add photos or choose another split."
    case .nonFinite(let what, let sample):
      "sample \(sample): \(what) are NaN or infinite. Check its photo and the weights."
    case .emptyClass(let index):
      "class \(index) has no training samples. Add photos to it or remove its folder."
    case .impossibleMixing(let reason): reason
    case .incompatibleState(let reason):
      "the saved state does not fit this run: \(reason). Start the training afresh."
    }
  }
}

extension Overflow? {
  /// What to do about it.
  fileprivate var nextStep: String {
    if case .input? = self { return "Check its photo." }
    return "Lower the learning rate, or find one with find-lr; clipping gradients helps against"
      + " single steps."
  }
}
