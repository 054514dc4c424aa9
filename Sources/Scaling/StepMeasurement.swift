// SPDX-License-Identifier: Apache-2.0

import ThawExecution
import ThawInference
import ThawRanks
package import ThawRuns
import ThawTensors
import ThawTraining

/// Measures what a step of fine-tuning costs here: real photos, the network as its last phase thaws it.
package struct StepMeasurement {
  private let run: OpenRun

  /// Works in `run`, whose head must be trained; changes nothing.
  package init(_ run: OpenRun) { self.run = run }

  /// Measures one rank.
  ///
  /// - Parameters:
  ///   - batch: photos of a step.
  ///   - shards: of a step.
  /// - Throws: errors of the run and its photos; ``PipelineError/interrupted``.
  package func measure(batch: Int, shards: Int) throws -> StepCost {
    let (setting, loss) = try FineTuneStage(run).lastPhase(batch: batch, shards: shards)
    let (plan, source) = (setting.plan, setting.training)
    let step = min(batch, source.count)
    let shardCount = max(step / shards, 1)
    // Twice: the first pass makes kernels.
    let local = LocalBatchGradient(plan: plan, source: source, loss: loss)
    let shard = try best(of: 5) { number in
      let first = number * shardCount % max(source.count - shardCount, 1)
      let samples = Array(first..<first + shardCount)
      _ = try local.compute(
        TrainingBatch(
          samples: samples[...], epoch: number, identity: StepIdentity(seed: 0, step: number)))
    }
    let whole = try stepSeconds(setting, loss, batch: step, shards: shards)
    let parameters = plan.trainable.reduce(0) { $0 + $1.shape.count }
    return StepCost(
      batch: step, shards: shards, shardSeconds: shard,
      updateSeconds: max(whole - Double(shards) * shard, 0), gradientBytes: 4 * parameters,
      validationSeconds: try validationSeconds(setting),
      leads: try leads(local, plan, samples: Array(0..<shardCount)))
  }

  /// How long before the end of a shard each piece of the gradient is complete.
  private func leads(
    _ local: LocalBatchGradient, _ plan: any TrainingPlan, samples: [Int]
  ) throws -> [Double] {
    guard plan is any ShardedTrainingPlan else { return [] }
    let clock = ContinuousClock()
    var told = plan.trainable.map { _ in clock.now }
    try local.compute(
      TrainingBatch(
        samples: samples[...], epoch: 0, identity: StepIdentity(seed: 0, step: 0)),
      shards: 0..<1,
      telling: { _ in
        BackwardProgress(onGradient: { _, index, _ in told[index] = clock.now }, onPause: {})
      }, { _, _ in })
    let end = clock.now
    let counts = plan.trainable.map(\.shape.count)
    let starts = counts.reduce(into: [0]) { $0.append($0[$0.count - 1] + $1) }
    return GradientExchange.buckets(of: starts[starts.count - 1]).map { bucket in
      let own = told.indices.filter { (starts[$0]..<starts[$0 + 1]).overlaps(bucket) }
      let complete = own.map { told[$0] }.max() ?? end
      return complete.duration(to: end) / .seconds(1)
    }
  }

  /// A whole step on this rank.
  private func stepSeconds(
    _ setting: PhaseSetting, _ loss: any Loss, batch: Int, shards: Int
  ) throws -> Double {
    let trainer = try Trainer(
      TrainerConfiguration(
        epochs: 1000, batchSize: batch, optimizer: run.recipe.fineTune.train.optimizer,
        schedule: .constant, shards: shards),
      plan: setting.plan, rates: LearningRates(0), training: setting.training, loss: loss)
    var times: [Double] = []
    var last = ContinuousClock.now
    _ = try trainer.run(
      TrainerHooks(
        onBatch: { _ in
          let now = ContinuousClock.now
          times.append(last.duration(to: now) / .seconds(1))
          last = now
        }, isCancelled: { times.count >= 5 || run.context.isInterrupted() }))
    try run.context.checkInterruption()
    return times.dropFirst().min() ?? times.min() ?? 0
  }

  private func validationSeconds(_ setting: PhaseSetting) throws -> Double {
    guard let source = setting.validation, source.count > 0 else { return 0 }
    let count = min(source.count, 64)
    let few = FewSamples(source: source, count: count)
    return try best(of: 2) { _ in _ = try PlanEvaluator.logits(of: few, by: setting.plan) }
      / Double(count)
  }

  private func best(of count: Int, _ body: (Int) throws -> Void) throws -> Double {
    try body(0)
    return try (1...count).map { number in
      try run.context.checkInterruption()
      let start = ContinuousClock.now
      try body(number)
      return start.duration(to: .now) / .seconds(1)
    }.min() ?? 0
  }
}

/// The first samples of a source.
private struct FewSamples: FeatureSource {
  let source: any FeatureSource
  let count: Int
  var stride: Int { source.stride }
  func label(_ index: Int) -> Int { source.label(index) }
  func copyFeatures(
    of indices: ArraySlice<Int>, view: FeatureView, into output: UnsafeMutableBufferPointer<Float>
  ) throws { try source.copyFeatures(of: indices, view: view, into: output) }
}
