// SPDX-License-Identifier: Apache-2.0

import ThawExecution
import ThawRanks

/// The gradient of a batch that is cut into a fixed number of shards, computed by one rank or by many.
///
/// Which samples a shard has, its dropout masks and its mixing follow from its number, and the shards'
/// gradients are added in one order (`ShardTree`), so the number of ranks makes no difference to a bit.
/// Every rank has the sum in its plan afterwards, and makes the same step. What is complete is sent while the rest
/// of backward computes.
///
/// Where batch norms use the statistics of the batch the shards go through the plan together, and exchange what
/// they know of it at each of them, in the shards' order.
final class ShardedBatchGradient: BatchGradient {
  private let local: LocalBatchGradient
  private let plan: any TrainingPlan
  private let ranks: RankGroup
  /// Where each parameter's gradient begins, and where the last one ends.
  private let starts: [Int]
  private let isTogether: Bool
  private let exchange: GradientExchange
  private let isAskedToStop: () -> Bool
  /// Of each own shard, the gradient of the step's earlier micro-batches; empty where there are none.
  private var carried: [[Float]] = []
  /// What happened to messages while kernels ran.
  private var failure: (any Error)?
  /// Whether a rank had been asked to stop before the last step. All ranks know it at the same step.
  private(set) var isStopAgreed = false

  /// - Parameters:
  ///   - local: computes shards; made for the same number of them.
  ///   - isTogether: whether they go through the plan side by side.
  ///   - isAskedToStop: asked at each step.
  init(
    _ local: LocalBatchGradient, plan: any TrainingPlan, shards: Int, isTogether: Bool,
    ranks: RankGroup, isAskedToStop: @escaping () -> Bool
  ) {
    self.local = local
    self.plan = plan
    self.isTogether = isTogether
    self.ranks = ranks
    self.isAskedToStop = isAskedToStop
    let counts = plan.trainable.map(\.shape.count)
    starts = counts.reduce(into: [0]) { $0.append($0[$0.count - 1] + $1) }
    exchange = GradientExchange(ranks, shards: shards, counts: counts)
  }

  /// See ``BatchGradient/compute(_:)``. A part whose loss is not finite leaves its gradient as it is;
  /// whoever called looks at the loss first.
  func compute(_ batch: TrainingBatch) throws -> BatchResult {
    exchange.reset()
    if isTogether, let plan = plan as? any ShardedTrainingPlan {
      return try computeTogether(batch, by: plan)
    }
    var own: [BatchResult] = []
    // Of the last own shard, parts are sent while it is still being computed.
    let told = ranks.hasOthers && plan is any ShardedTrainingPlan ? exchange.ownShards.last : nil
    try local.compute(
      batch, shards: exchange.ownShards, telling: { $0 == told ? progress(take) : nil }
    ) { shard, result in
      own.append(result)
      if shard != told { try addGradients(of: shard) }
    }
    try takeSum()
    let results = try share(own)
    isStopAgreed = results.isStopAgreed
    return results.all.reduce(into: BatchResult()) { $0 += $1 }
  }

  private func computeTogether(
    _ batch: TrainingBatch, by plan: any ShardedTrainingPlan
  ) throws -> BatchResult {
    var total = BatchResult()
    isStopAgreed = false
    carried = []
    try local.computeTogether(
      batch, own: exchange.ownShards, by: plan, share: shareRows,
      onResults: { own in
        let results = try share(own)
        isStopAgreed = isStopAgreed || results.isStopAgreed
        for result in results.all { total += result }
        // All ranks see the same and go on or stop together.
        return results.all.allSatisfy(\.loss.sum.isFinite)
      },
      telling: { isLast in
        progress { [self] shard, index, gradient in
          if !isLast || !carried.isEmpty { carry(shard, index, gradient) }
          if isLast { try take(shard, index, gradient) }
        }
      })
    if total.loss.sum.isFinite { try takeSum() }
    return total
  }

  /// Adds a gradient to that of the same shard in the step's earlier micro-batches, and gives back the sum.
  private func carry(_ shard: Int, _ index: Int, _ gradient: UnsafeMutableBufferPointer<Float>) {
    let own = exchange.ownShards
    if carried.isEmpty {
      carried = own.map { _ in [Float](repeating: 0, count: starts[starts.count - 1]) }
    }
    carried[shard - own.lowerBound].withUnsafeMutableBufferPointer { sums in
      let start = starts[index]
      for element in gradient.indices {
        sums[start + element] += gradient[element]
        gradient[element] = sums[start + element]
      }
    }
  }

  private func progress(
    _ onGradient: @escaping (Int, Int, UnsafeMutableBufferPointer<Float>) throws -> Void
  ) -> BackwardProgress {
    BackwardProgress(
      onGradient: onGradient,
      onPause: { [self] in
        guard failure == nil else { return }
        do { try exchange.advance() } catch { failure = error }
      })
  }

  private func take(
    _ shard: Int, _ index: Int, _ gradient: UnsafeMutableBufferPointer<Float>
  ) throws {
    try exchange.add(shard, block: index) { _ = $0.update(fromContentsOf: gradient) }
  }

  private func addGradients(of shard: Int) throws {
    var index = 0
    try plan.withTrainable { _, _, gradient in
      try take(shard, index, gradient)
      index += 1
    }
  }

  /// The sum over all shards, as the plan's gradient.
  private func takeSum() throws {
    if let failure { throw failure }
    let sum = try exchange.sum()
    var index = 0
    plan.withTrainable { _, _, gradient in
      let part = UnsafeMutableBufferPointer(rebasing: sum[starts[index]..<starts[index + 1]])
      _ = gradient.update(fromContentsOf: part)
      index += 1
    }
  }

  private func shareRows(_ rows: UnsafeMutableBufferPointer<Double>, width: Int) throws {
    try ranks.share(
      rows,
      ranges: (0..<ranks.count).map { rank in
        let shards = exchange.shards(of: rank)
        return shards.lowerBound * width..<shards.upperBound * width
      })
  }

  /// The results of all shards in their order.
  private func share(_ own: [BatchResult]) throws -> (all: [BatchResult], isStopAgreed: Bool) {
    let notes = try ranks.gather(StepNote(results: own, isAskedToStop: isAskedToStop()))
    return (
      notes.flatMap { $0.results.map(\.batch) }, notes.contains(where: \.isAskedToStop)
    )
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
