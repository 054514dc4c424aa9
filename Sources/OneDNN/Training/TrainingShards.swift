// SPDX-License-Identifier: Apache-2.0

import ThawExecution
import ThawTensors

/// The passes that go through a program side by side, and what they must know of each other: the shards of a
/// batch, or a lone pass.
struct TrainingShards {
  /// In the order of their numbers; perhaps none.
  let passes: [TrainingPass]
  /// The whole batch, wherever its shards are, as one pass.
  let whole: TrainingPass
  /// Shards of the batch.
  let count: Int
  private let share: ((UnsafeMutableBufferPointer<Double>, Int) throws -> Void)?

  /// A pass that is the whole batch.
  init(_ pass: TrainingPass) {
    (passes, whole, count, share) = ([pass], pass, 1, nil)
  }

  /// The shards of `batch`, each in a place of `room` images.
  init(_ batch: ShardedBatch, room: Int) {
    passes = batch.own.enumerated().map { place, shard in
      TrainingPass(shard, of: batch.count, start: place * room)
    }
    whole = TrainingPass(
      count: batch.count, isTraining: true, identity: StepIdentity(seed: 0, step: 0))
    count = batch.shards
    share = batch.share
  }

  /// The rows of all shards, given those of `passes`.
  func complete(
    _ rows: UnsafeMutableBufferPointer<Double>, width: Int
  ) throws -> UnsafeBufferPointer<Double> {
    let all = UnsafeMutableBufferPointer(rebasing: rows[..<(count * width)])
    try share?(all, width)
    return UnsafeBufferPointer(all)
  }
}
