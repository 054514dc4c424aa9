// SPDX-License-Identifier: Apache-2.0

/// What a run calls while it trains; every hook runs on the training thread.
package struct TrainerHooks {
  /// After each epoch. The trainer may be exported here: the epoch boundary.
  package var onEpoch: (EpochRecord, Trainer) throws -> Void
  /// After each step: for progress, and for checkpoints every so many minutes.
  package var onBatch: (Trainer) throws -> Void
  /// After the last step of each whole cycle of a schedule with restarts, before ``onBatch``: the
  /// moment for a snapshot. A run that is resumed may repeat the call with the same weights; a cycle
  /// that the end of the run cuts short has none.
  package var onCycle: ((CycleSnapshot, Trainer) throws -> Void)?
  /// Asked before each batch; true ends the run there, with the present weights in the plan.
  package var isCancelled: () -> Bool
  /// Epochs of the run after which it ends, although its schedule has more; nil for all of them. Earlier ones
  /// are the same with and without.
  package var stopAfter: Int?

  /// Hooks; by default none does anything.
  package init(
    onEpoch: @escaping (EpochRecord, Trainer) throws -> Void = { _, _ in },
    onBatch: @escaping (Trainer) throws -> Void = { _ in },
    onCycle: ((CycleSnapshot, Trainer) throws -> Void)? = nil,
    isCancelled: @escaping () -> Bool = { false }, stopAfter: Int? = nil
  ) {
    self.onEpoch = onEpoch
    self.onBatch = onBatch
    self.onCycle = onCycle
    self.isCancelled = isCancelled
    self.stopAfter = stopAfter
  }
}

/// How a run ended.
package struct TrainingResult: Sendable, Equatable {
  /// Why it ended.
  package enum Outcome: String, Sendable {
    /// All epochs are done.
    case finished
    /// The validation loss stopped improving.
    case stoppedEarly
    /// ``TrainerHooks/isCancelled`` said so.
    case cancelled
  }
  /// Why it ended.
  package let outcome: Outcome
  /// The epoch whose weights were kept, 0-based; nil without validation.
  package let bestEpoch: Int?
  /// Finished epochs.
  package let history: [EpochRecord]

  /// The record of ``bestEpoch``, or the last one without validation.
  package var best: EpochRecord? {
    bestEpoch.flatMap { best in history.first { $0.epoch == best } } ?? history.last
  }
}
