// SPDX-License-Identifier: Apache-2.0

import ThawDatasets
import ThawExecution
import ThawNetwork
import ThawRanks

extension Trainer {
  /// Where gradients come from: this process, or all ranks where a step has shards.
  static func gradient(
    _ configuration: TrainerConfiguration, plan: any TrainingPlan, source: any FeatureSource,
    loss: any Loss, ranks: RankGroup, _ isAskedToStop: @escaping () -> Bool
  ) -> any BatchGradient {
    let local = LocalBatchGradient(
      plan: plan, source: source, loss: loss,
      microBatch: configuration.accumulation > 1 ? configuration.batchSize : nil,
      mixing: configuration.mixing, shards: configuration.shards ?? 1)
    guard let shards = configuration.shards else { return local }
    return ShardedBatchGradient(
      local, plan: plan, shards: shards, ranks: ranks, isAskedToStop: isAskedToStop)
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
