// SPDX-License-Identifier: Apache-2.0

import ThawDatasets
import ThawExecution
import ThawNetwork
import ThawRanks

extension Trainer {
  /// Where gradients come from: this process, or all ranks where a step has shards.
  ///
  /// - Throws: `ExecutionError` where there is no memory for shards that go together.
  static func gradient(
    _ configuration: TrainerConfiguration, plan: any TrainingPlan, source: any FeatureSource,
    loss: any Loss, ranks: RankGroup, _ isAskedToStop: @escaping () -> Bool
  ) throws -> any BatchGradient {
    let microBatch = configuration.accumulation > 1 ? configuration.batchSize : nil
    guard let shards = configuration.shards else {
      return LocalBatchGradient(
        plan: plan, source: source, loss: loss, microBatch: microBatch,
        mixing: configuration.mixing)
    }
    var together: Int?
    if let plan = plan as? any ShardedTrainingPlan, plan.usesBatchStatistics {
      let own = ShardTree(shards: shards).shards(of: ranks.rank, of: ranks.count).count
      try plan.hold(shards: own)
      together = own
    }
    let local = LocalBatchGradient(
      plan: plan, source: source, loss: loss, microBatch: microBatch,
      mixing: configuration.mixing, shards: shards, together: together)
    return ShardedBatchGradient(
      local, plan: plan, shards: shards, isTogether: together != nil, ranks: ranks,
      isAskedToStop: isAskedToStop)
  }

  /// Makes sure that every rank has made the same steps.
  ///
  /// - Throws: `RankError`.
  func requireSameWeights(_ parameters: Parameters) throws {
    guard ranks.hasOthers else { return }
    var sums: [UInt64] = []
    for path in parameters.paths {
      parameters[path]?.withUnsafeElements {
        sums.append(Checksum.of(UnsafeRawBufferPointer($0)))
      }
    }
    let all = try ranks.gather(sums)
    guard let other = all.firstIndex(where: { $0 != all[0] }) else { return }
    throw RankError.disagreement(
      "\(ranks.name(of: other)): its weights after epoch \(progress.epoch + 1) are not those of"
        + " \(ranks.name(of: 0)). One of the two machines computes wrongly. Continue without it: the"
        + " same command goes on from the last checkpoint.")
  }
}
