// SPDX-License-Identifier: Apache-2.0

import Testing
import ThawImages
import ThawNetwork
import ThawRankThreads
import ThawRanks
import ThawTestSupport
import ThawTraining

private let samples = clouds(61, inputs: 6, classes: 3, seed: 1)
private let judged = clouds(17, inputs: 6, classes: 3, seed: 2)

/// Weights and losses as bits.
private struct End: Equatable, Sendable {
  let weights: [UInt32]
  let losses: [Double]
}

private func configuration(
  shards: Int, mixing: BatchMixing? = nil, accumulation: Int = 1
) -> TrainerConfiguration {
  // Batches of 12, the last one of 1 is merged: 13.
  TrainerConfiguration(
    epochs: 3, batchSize: 12, seed: 5, schedule: .cosineAnnealing, accumulation: accumulation,
    mixing: mixing, weightAveraging: 0.9, shards: shards)
}

private func end(
  _ configuration: TrainerConfiguration, _ group: RankGroup, from state: TrainerState? = nil,
  stopAfter: Int? = nil, asks: Bool = false
) throws -> (end: End, state: TrainerState, outcome: TrainingResult.Outcome) {
  let plan = DensePlan(inputs: 6, classes: 3, batch: 13, dropout: 0.2)
  var steps = 0
  let trainer = try Trainer(
    configuration, plan: plan, rates: LearningRates(0.1), training: samples, validation: judged,
    ranks: group, isAskedToStop: { asks && steps == stopAfter })
  if let state { try trainer.importState(state) }
  let result = try trainer.run(TrainerHooks(onBatch: { _ in steps += 1 }))
  let parameters = plan.exportParameters()
  let weights = parameters.paths.flatMap { path in
    parameters[path]?.withUnsafeElements { $0.map(\.bitPattern) } ?? []
  }
  return (
    End(weights: weights, losses: result.history.flatMap { [$0.trainLoss, $0.validLoss ?? -1] }),
    try trainer.exportState(), result.outcome
  )
}

@Suite struct ShardedTrainingTests {
  @Test(arguments: [1, 2, 3, 4, 8, 16])
  func weightsHaveTheSameBitsOnAnyNumberOfRanks(shards: Int) throws {
    for settings in [
      configuration(shards: shards), configuration(shards: shards, mixing: .mixup()),
      configuration(shards: shards, accumulation: 2),
    ] {
      let alone = try end(settings, .alone).end
      for ranks in [2, 3, 4, 8] where shards > 1 {
        let all = try asRanks(ranks) { try end(settings, $0).end }
        for one in all { #expect(one == alone, "\(shards) shards on \(ranks) ranks") }
      }
    }
  }

  /// One shard is the training that there was before there were shards.
  @Test func oneShardIsNoShard() throws {
    let one = configuration(shards: 1)
    #expect(one.shards == nil)
    #expect(try end(one, .alone).end != end(configuration(shards: 2), .alone).end)
  }

  /// Shards only round differently; without dropout, whose masks are a shard's own.
  @Test func shardsAreTheGradientOfTheWholeBatch() throws {
    func weights(_ shards: Int) throws -> [Float] {
      let plan = DensePlan(inputs: 6, classes: 3, batch: 13)
      _ = try Trainer(
        configuration(shards: shards), plan: plan, rates: LearningRates(0.1), training: samples
      ).run()
      return try plan.exportParameters().tensor("fc.weight").withUnsafeElements(Array.init)
    }
    expectClose(try weights(5), try weights(1))
  }

  @Test func aRunGoesOnWithAnotherNumberOfRanks() throws {
    let settings = configuration(shards: 4)
    let whole = try end(settings, .alone).end
    let stopped = try asRanks(3) {
      try end(settings, $0, stopAfter: 7, asks: $0.rank == 2)
    }
    // Only rank 2 was asked, at its eighth step; all stopped behind it.
    #expect(stopped.map(\.outcome) == [.cancelled, .cancelled, .cancelled])
    #expect(stopped.map(\.state.progress.step) == [8, 8, 8])
    #expect(stopped[1].state.parameters == stopped[0].state.parameters)
    let resumed = try asRanks(2) { try end(settings, $0, from: stopped[0].state).end }
    #expect(resumed == [whole, whole])
  }

  @Test func aBatchOfFewerSamplesThanShardsIsTrained() throws {
    var small = configuration(shards: 16)
    small.batchSize = 3
    let settings = small
    let alone = try end(settings, .alone).end
    #expect(try asRanks(4) { try end(settings, $0).end } == Array(repeating: alone, count: 4))
  }

  @Test func notANumberOnOneRankStopsAllAtTheSameBatch() throws {
    var features = samples.features
    // Somewhere in the epoch; which rank has it follows from the shuffling.
    features[30 * 6 + 2] = .nan
    let bad = InMemoryFeatures(features, labels: samples.labels)
    let texts = try asRanks(3) { group -> String in
      let plan = DensePlan(inputs: 6, classes: 3, batch: 13)
      let trainer = try Trainer(
        configuration(shards: 6), plan: plan, rates: LearningRates(0.1), training: bad, ranks: group
      )
      do { _ = try trainer.run() } catch { return "\(error)" }
      return "did not stop"
    }
    #expect(Set(texts).count == 1)
    #expect(texts[0].contains("NaN") || texts[0].contains("diverged"), "\(texts[0])")
  }
}
