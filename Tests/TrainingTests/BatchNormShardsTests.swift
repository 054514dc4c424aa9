// SPDX-License-Identifier: Apache-2.0

import Testing
import ThawExecution
import ThawImages
import ThawNetwork
import ThawRankThreads
import ThawRanks
import ThawReference
import ThawTensors
import ThawTestSupport
import ThawTraining

private let modes = BatchNormMode.allCases.filter(\.usesBatchStatistics)

/// What training leaves, as bits.
private struct End: Equatable, Sendable {
  let weights: [UInt32]
  let losses: [Double]
}

private func source(_ count: Int) -> InMemoryFeatures {
  InMemoryFeatures(
    NormalizedNetwork.images(count),
    labels: (0..<count).map { $0 * 7 % NormalizedNetwork.classes })
}

private func configuration(
  shards: Int, batchSize: Int = 8, accumulation: Int = 1, mixing: BatchMixing? = nil
) -> TrainerConfiguration {
  TrainerConfiguration(
    epochs: 2, batchSize: batchSize, seed: 3, schedule: .constant, accumulation: accumulation,
    mixing: mixing, shards: shards)
}

/// Trains on 25 samples: three steps of 8, the last of 9, or less often.
private func train(
  _ network: NormalizedNetwork, _ kernels: NormalizedNetwork.Kernels,
  _ settings: TrainerConfiguration, _ group: RankGroup = .alone
) throws -> (end: End, parameters: Parameters) {
  let shards = settings.shards ?? 1
  let plan = try network.plan(kernels, batch: (settings.batchSize + shards - 1) / shards + 1)
  let trainer = try Trainer(
    settings, plan: plan, rates: LearningRates(0.05), training: source(25), validation: source(7),
    ranks: group)
  let result = try trainer.run()
  let parameters = plan.exportParameters()
  let weights = parameters.paths.flatMap { path in
    parameters[path]?.withUnsafeElements { $0.map(\.bitPattern) } ?? []
  }
  return (
    End(weights: weights, losses: result.history.flatMap { [$0.trainLoss, $0.validLoss ?? -1] }),
    parameters
  )
}

/// Batch norms that use the statistics of a batch that is cut into shards.
@Suite struct BatchNormShardsTests {
  @Test(arguments: NormalizedNetwork.Kernels.allCases, BatchNormMode.allCases)
  func weightsHaveTheSameBitsOnAnyNumberOfRanks(
    kernels: NormalizedNetwork.Kernels, mode: BatchNormMode
  ) throws {
    let network = NormalizedNetwork(mode)
    for (settings, counts) in [
      (configuration(shards: 4), [2, 3, 4, 8]),
      (configuration(shards: 3, mixing: .mixup()), [2]),
      (configuration(shards: 8, accumulation: 2), [3]),
      // Batches of fewer samples than shards.
      (configuration(shards: 16, batchSize: 3), [4]),
    ] {
      let alone = try train(network, kernels, settings).end
      for ranks in counts {
        let all = try asRanks(ranks) { try train(network, kernels, settings, $0).end }
        for one in all { #expect(one == alone, "\(settings.shards ?? 1) shards on \(ranks) ranks") }
      }
    }
  }

  /// One step over the whole batch, and over its shards: the same but for rounding, running statistics and all.
  @Test(arguments: NormalizedNetwork.Kernels.allCases, BatchNormMode.allCases)
  func shardsAreTheStepOfTheWholeBatch(
    kernels: NormalizedNetwork.Kernels, mode: BatchNormMode
  ) throws {
    let network = NormalizedNetwork(mode, drops: false)
    for (shards, accumulation) in [(2, 1), (5, 1), (8, 1), (3, 2)] {
      let whole = try train(network, kernels, configuration(shards: 1, accumulation: accumulation))
      let cut = try train(
        network, kernels, configuration(shards: shards, accumulation: accumulation))
      expectClose(cut.end.losses, whole.end.losses, relative: 1e-4)
      for path in whole.parameters.paths {
        expectClose(
          try cut.parameters.tensor(path), try whole.parameters.tensor(path), relative: 1e-3,
          absolute: 2e-5, "\(path), \(shards) shards")
      }
    }
  }

  /// A shard's own statistics would be others: what the test above is about.
  @Test func theStatisticsAreThoseOfTheWholeBatch() throws {
    let plan = try NormalizedNetwork(.training, drops: false).reference(Double.self, batch: 9)
    try plan.hold(shards: 3)
    let images = NormalizedNetwork.images(9).elements.map(Double.init)
    let step = StepIdentity(seed: 1, step: 0)
    let whole = try plan.forward(scalars: images, step: step)
    let stride = images.count / 9
    let apart = try plan.forward(scalars: Array(images[..<(3 * stride)]), step: step)
    let together = try plan.forward(scalars: images, of: batch([3, 2, 4]))
    for index in whole.indices { #expect(abs(whole[index] - together[index]) < 1e-12) }
    #expect(zip(whole, apart).contains { abs($0 - $1) > 1e-2 })
  }

  /// The gradient of shards that go together, in Double, against central differences of the loss.
  @Test(arguments: modes)
  func gradientsAreCentralDifferences(mode: BatchNormMode) throws {
    let plan = try NormalizedNetwork(mode, drops: false, isSmooth: true)
      .reference(Double.self, batch: 4)
    try plan.hold(shards: 3)
    let images = NormalizedNetwork.images(7).elements.map(Double.init)
    let batch = batch([2, 1, 4])
    let slope = (0..<7 * NormalizedNetwork.classes).map { Float($0 % 5) - 2 }
    func loss() throws -> Double {
      zip(try plan.forward(scalars: images, of: batch), slope).reduce(0) {
        $0 + $1.0 * Double($1.1)
      }
    }
    _ = try loss()
    var sums = plan.trainable.map { [Double](repeating: 0, count: $0.shape.count) }
    try slope.withUnsafeBufferPointer { slope in
      try plan.backward(
        slope, of: batch,
        telling: BackwardProgress(
          onGradient: { _, index, gradient in
            for element in gradient.indices { sums[index][element] += Double(gradient[element]) }
          }, onPause: {}))
    }
    var index = 0
    try plan.withTrainableScalars { description, values, _ in
      let scale = sums[index].map(abs).max() ?? 0
      for element in stride(from: 0, to: values.count, by: max(values.count / 6, 1)) {
        let value = values[element]
        values[element] = value + 1e-5
        let above = try loss()
        values[element] = value - 1e-5
        let numeric = (above - (try loss())) / 2e-5
        values[element] = value
        #expect(
          abs(numeric - sums[index][element]) <= 2e-6 * scale + 1e-7,
          "\(description.path) \(element): \(numeric), \(sums[index][element])")
      }
      index += 1
    }
    #expect(index > 4)
  }

  @Test func aLoneSampleOfABatchMayHaveAShardOfItsOwn() throws {
    // The norm behind the pooling has one value a sample: shards of one are possible, a batch of one is not.
    let network = NormalizedNetwork(.training)
    _ = try train(network, .oneDNN, configuration(shards: 8))
    let plan = try network.plan(.oneDNN, batch: 2)
    try plan.hold(shards: 2)
    let image = NormalizedNetwork.images(1).elements
    var logits = [Float](repeating: 0, count: NormalizedNetwork.classes)
    #expect(throws: NetworkError.self) {
      try image.withUnsafeBufferPointer { image in
        try logits.withUnsafeMutableBufferPointer {
          try plan.forward(image, of: self.batch([1, 0]), into: $0)
        }
      }
    }
  }

  /// Shards of so many samples, all of them here.
  private func batch(_ counts: [Int]) -> ShardedBatch {
    ShardedBatch(
      own: counts.enumerated().map {
        .init(
          number: $0.offset, count: $0.element,
          identity: StepIdentity(seed: 1, step: 0, part: $0.offset))
      }, shards: counts.count, count: counts.reduce(0, +), share: { _, _ in })
  }
}
