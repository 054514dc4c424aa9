// SPDX-License-Identifier: Apache-2.0

import ThawExecution
import ThawRanks

/// The gradient of a batch that is cut into a fixed number of shards, computed by one rank or by many.
///
/// Which samples a shard has, its dropout masks and its mixing follow from its number, and the shards'
/// gradients are added in one order (`ShardTree`), so the number of ranks makes no difference to a bit.
/// Every rank has the sum in its plan afterwards, and makes the same step.
final class ShardedBatchGradient: BatchGradient {
  private let local: LocalBatchGradient
  private let plan: any TrainingPlan
  private let ranks: RankGroup
  private let shards: Int
  private let exchange: GradientExchange
  private let isAskedToStop: () -> Bool
  /// Whether a rank had been asked to stop before the last step. All ranks know it at the same step.
  private(set) var isStopAgreed = false

  /// - Parameters:
  ///   - local: computes shards; made for the same number of them.
  ///   - isAskedToStop: asked at each step.
  init(
    _ local: LocalBatchGradient, plan: any TrainingPlan, shards: Int, ranks: RankGroup,
    isAskedToStop: @escaping () -> Bool
  ) {
    self.local = local
    self.plan = plan
    self.shards = shards
    self.ranks = ranks
    self.isAskedToStop = isAskedToStop
    let count = plan.trainable.reduce(0) { $0 + $1.shape.count }
    exchange = GradientExchange(ranks, shards: shards, count: max(count, 1))
  }

  /// See ``BatchGradient/compute(_:)``. A part whose loss is not finite leaves its gradient as it is;
  /// whoever called looks at the loss first.
  func compute(_ batch: TrainingBatch) throws -> BatchResult {
    exchange.reset()
    var own: [BatchResult] = []
    try local.compute(batch, shards: exchange.ownShards) { shard, result in
      own.append(result)
      exchange.add(shard, copyGradients)
    }
    let results = try share(own)
    let sum = try exchange.sum()
    var start = 0
    plan.withTrainable { _, _, gradient in
      let part = UnsafeMutableBufferPointer(rebasing: sum[start..<start + gradient.count])
      _ = gradient.update(fromContentsOf: part)
      start += gradient.count
    }
    return results
  }

  /// The shards' results added in their order.
  private func share(_ own: [BatchResult]) throws -> BatchResult {
    let all = try ranks.gather(StepNote(results: own, isAskedToStop: isAskedToStop()))
    isStopAgreed = all.contains(where: \.isAskedToStop)
    var total = BatchResult()
    for result in all.flatMap(\.results) { total += result.batch }
    return total
  }

  private func copyGradients(into target: UnsafeMutableBufferPointer<Float>) {
    var start = 0
    plan.withTrainable { _, _, gradient in
      _ = target[start...].update(fromContentsOf: gradient)
      start += gradient.count
    }
  }

  /// See ``BatchGradient/findOverflow(in:)``: looks at all shards, wherever they were computed, so that
  /// every rank finds the same.
  func findOverflow(in batch: TrainingBatch) throws -> Overflow? {
    try local.findOverflow(in: batch)
  }
}

/// What a rank says of a step. Losses travel as bits: JSON has no NaN.
private struct StepNote: Codable {
  struct Result: Codable {
    let sum: UInt64
    let weight: UInt64
    let correct: Int
    let count: Int

    init(_ result: BatchResult) {
      (sum, weight) = (result.loss.sum.bitPattern, result.loss.weight.bitPattern)
      (correct, count) = (result.correct, result.count)
    }

    var batch: BatchResult {
      var result = BatchResult()
      result.loss = LossTotal(sum: Double(bitPattern: sum), weight: Double(bitPattern: weight))
      (result.correct, result.count) = (correct, count)
      return result
    }
  }

  let results: [Result]
  let isAskedToStop: Bool

  init(results: [BatchResult], isAskedToStop: Bool) {
    self.results = results.map(Result.init)
    self.isAskedToStop = isAskedToStop
  }
}
