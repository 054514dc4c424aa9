// SPDX-License-Identifier: Apache-2.0

/// A batch that goes through a plan in shards, side by side: where a batch norm needs the statistics of the
/// whole batch, all shards come to it before any goes on. Other processes may have some of the shards.
package struct ShardedBatch {
  /// Samples that go through the plan as one.
  package struct Shard {
    /// Among all shards of the batch, 0-based.
    package let number: Int
    /// Samples, perhaps none.
    package let count: Int
    /// The key of its dropout masks.
    package let identity: StepIdentity

    /// Names a shard.
    package init(number: Int, count: Int, identity: StepIdentity) {
      (self.number, self.count, self.identity) = (number, count, identity)
    }
  }

  /// Those that this plan computes, in order; perhaps none.
  package let own: [Shard]
  /// Shards of the batch, wherever they are computed.
  package let shards: Int
  /// Samples of the batch.
  package let count: Int
  /// Completes rows [shards, width], of which those of ``own`` are filled in. Everybody who has shards of the
  /// batch calls it equally often.
  package let share: (_ rows: UnsafeMutableBufferPointer<Double>, _ width: Int) throws -> Void

  /// Describes a batch.
  package init(
    own: [Shard], shards: Int, count: Int,
    share: @escaping (_ rows: UnsafeMutableBufferPointer<Double>, _ width: Int) throws -> Void
  ) {
    (self.own, self.shards, self.count, self.share) = (own, shards, count, share)
  }
}

/// What is told of a backward pass while it runs.
package struct BackwardProgress {
  /// The gradient of trainable parameter `index` will not change any more, for shard number `shard`.
  package let onGradient:
    (_ shard: Int, _ index: Int, _ gradient: UnsafeMutableBufferPointer<Float>) throws -> Void
  /// Called every few milliseconds, on the thread that called, for what has to be looked after meanwhile.
  package let onPause: () -> Void

  /// Something that is told.
  package init(
    onGradient: @escaping (Int, Int, UnsafeMutableBufferPointer<Float>) throws -> Void,
    onPause: @escaping () -> Void
  ) {
    (self.onGradient, self.onPause) = (onGradient, onPause)
  }
}

/// A plan that takes the shards of a batch, one by one or together, and tells of gradients when they are there.
///
/// The gradient of each shard has the same bits whichever other shards are computed beside it.
package protocol ShardedTrainingPlan: TrainingPlan {
  /// Whether a layer normalises by the statistics of the batch: then shards have to go together.
  var usesBatchStatistics: Bool { get }

  /// Makes room for so many shards together, each of at most the plan's batch.
  ///
  /// - Throws: ``ExecutionError``.
  func hold(shards: Int) throws

  /// Forward pass in training over the batch's own shards, whose samples follow each other in `input`; traps
  /// without room for them (``hold(shards:)``).
  ///
  /// - Throws: ``NetworkError/degenerateBatch(layer:)``, ``ExecutionError``, what ``ShardedBatch/share`` throws.
  func forward(
    _ input: UnsafeBufferPointer<Float>, of batch: ShardedBatch,
    into output: UnsafeMutableBufferPointer<Float>) throws

  /// Backward pass of the last ``forward(_:of:into:)``. Tells the gradients of each shard apart, all of them, and
  /// leaves zeros.
  func backward(
    _ gradient: UnsafeBufferPointer<Float>, of batch: ShardedBatch,
    telling progress: BackwardProgress
  ) throws

  /// The same as ``TrainingPlan/backward(_:)``, telling the accumulated gradients as those of shard `shard` when
  /// they are there.
  func backward(
    _ gradient: UnsafeBufferPointer<Float>, shard: Int, telling progress: BackwardProgress) throws
}

/// The moments of a batch norm's input over the shards of a batch, as rows: how many values a channel has, their
/// means and their squared distances from them.
package enum ShardMoments {
  /// Numbers of a row.
  package static func width(channels: Int) -> Int { 1 + 2 * channels }

  /// Those of one channel over all rows, merged in the rows' order.
  ///
  /// - Source: Chan, Golub and LeVeque 1983, the pairwise update.
  @inline(__always)
  package static func merged(
    _ rows: UnsafeBufferPointer<Double>, channels: Int, channel: Int
  ) -> (count: Double, mean: Double, square: Double) {
    let width = width(channels: channels)
    var (count, mean, square) = (0.0, 0.0, 0.0)
    for start in stride(from: 0, to: rows.count, by: width) {
      let more = rows[start]
      guard more > 0 else { continue }
      let (otherMean, otherSquare) = (
        rows[start + 1 + channel], rows[start + 1 + channels + channel]
      )
      if count == 0 {
        (count, mean, square) = (more, otherMean, otherSquare)
        continue
      }
      let delta = otherMean - mean
      mean += delta * more / (count + more)
      square += otherSquare + delta * delta * count * more / (count + more)
      count += more
    }
    return (count, mean, square)
  }

  /// The sums of column `column` over rows of `width` numbers, in the rows' order.
  @inline(__always)
  package static func sum(
    _ rows: UnsafeBufferPointer<Double>, width: Int, column: Int
  ) -> Double {
    var sum = 0.0
    for start in stride(from: 0, to: rows.count, by: width) { sum += rows[start + column] }
    return sum
  }
}
