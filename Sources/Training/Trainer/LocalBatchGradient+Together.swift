// SPDX-License-Identifier: Apache-2.0

import ThawExecution

extension LocalBatchGradient {
  /// Computes some of the batch's shards side by side: each batch norm takes the statistics of all shards of a
  /// micro-batch, wherever they are, as if it had never been cut.
  ///
  /// - Parameters:
  ///   - own: the shards that are computed here.
  ///   - plan: the one that this was made with.
  ///   - share: see ``ShardedBatch/share``.
  ///   - onResults: gets what the own shards of each micro-batch gave, before their gradients; says whether all
  ///     go on.
  ///   - telling: how the gradients of a micro-batch's shards are told, given whether it is the last.
  func computeTogether(
    _ batch: TrainingBatch, own: Range<Int>, by plan: any ShardedTrainingPlan,
    share: @escaping (UnsafeMutableBufferPointer<Double>, Int) throws -> Void,
    onResults: ([BatchResult]) throws -> Bool, telling: (_ isLast: Bool) -> BackwardProgress
  ) throws {
    let parts = parts(of: batch)
    let divisor = fillTargets(of: batch, parts)
    let groups = (parts.last?.group ?? -1) + 1
    for group in 0..<groups {
      let all = parts.filter { $0.group == group }
      let mine = all.filter { own.contains($0.shard) }
      let shards = ShardedBatch(
        own: mine.map { .init(number: $0.shard, count: $0.range.count, identity: $0.identity) },
        shards: shards, count: all.reduce(0) { $0 + $1.range.count }, share: share)
      let results = try forward(mine, of: shards, epoch: batch.epoch, divisor: divisor, by: plan)
      guard try onResults(results) else { return }
      let rows = mine.reduce(0) { $0 + $1.range.count } * classes
      try plan.backward(
        UnsafeBufferPointer(rebasing: slope.elements[..<rows]), of: shards,
        telling: telling(group == groups - 1))
    }
  }

  private func forward(
    _ parts: [Part], of batch: ShardedBatch, epoch: Int, divisor: Double,
    by plan: any ShardedTrainingPlan
  ) throws -> [BatchResult] {
    var count = 0
    for part in parts where !part.range.isEmpty {
      _ = try copyFeatures(of: part, epoch: epoch, at: count)
      count += part.range.count
    }
    try plan.forward(
      UnsafeBufferPointer(rebasing: input.elements[..<(count * source.stride)]), of: batch,
      into: UnsafeMutableBufferPointer(rebasing: logits.elements[..<(count * classes)]))
    var first = 0
    return parts.map { part in
      defer { first += part.range.count }
      return part.range.isEmpty ? BatchResult() : judge(part, divisor: divisor, at: first)
    }
  }
}
