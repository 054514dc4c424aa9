// SPDX-License-Identifier: Apache-2.0

import ThawExecution
import ThawInference
import ThawNetwork
import ThawRanks
import ThawRecipes
import ThawTraining

/// The engine that trains a schedule's phases: the chosen one, and another where that has no kernel for
/// a layer. Found out by compiling each phase once, which takes a fraction of its first epoch.
struct TrainingEngine {
  /// For example `oneDNN 2.6.3`, or `oneDNN 2.6.3, reference (Float)` when phases differ.
  let name: String
  /// What the chosen engine lacks; nil when it trains everything.
  private let refusal: ExecutionError?

  /// - Parameter network: at the start of the training.
  /// - Throws: ``ExecutionError`` when no engine can train the network.
  init(
    _ network: TransferNetwork, _ schedule: FreezeSchedule, settings: Recipe.Train, run: OpenRun
  ) throws {
    var names: [String] = []
    var refusal: ExecutionError?
    for phase in schedule.phases {
      let plan = try network.during(phase, parameters: network.parameters)
        .trainingPlan(phase, settings: settings, run: run)
      if !names.contains(plan.engineName) { names.append(plan.engineName) }
      refusal = refusal ?? plan.refusal
    }
    name = names.joined(separator: ", ")
    self.refusal = refusal
  }

  /// Says, where another engine has to step in, which one and why.
  func report(_ label: String, to context: StageContext) {
    context.report(label, runsOn: name, because: refusal)
  }
}

extension StageContext {
  /// Says that other kernels than the chosen ones work, if they do.
  ///
  /// - Parameter refusal: see `TrainingPlan.refusal`.
  func report(_ label: String, runsOn engine: String, because refusal: ExecutionError?) {
    guard let refusal else { return }
    console.warn("\(label) runs on \(engine), which is slower. \(refusal)")
  }
}

extension TransferNetwork {
  /// The suffix compiled for `phase`, whose network this is; one photo more than a batch has fits, as
  /// the last batch takes in a single photo that is left over.
  ///
  /// - Throws: ``ExecutionError/memory(batch:needed:allowed:)`` where that takes more memory than may be used.
  func trainingPlan(
    _ phase: FreezePhase, settings: Recipe.Train, run: OpenRun
  ) throws -> any TrainingPlan {
    let batch = min(settings.batch, run.manifest.records(in: .train).count)
    let step = min(settings.batch * settings.accumulation, run.manifest.records(in: .train).count)
    let goTogether = settings.shards > 1 && phase.plan.usesBatchStatistics(in: graph)
    // Shards that go together are those of a micro-batch, others those of a step.
    let cut = goTogether ? batch : step
    let shard = min((cut + settings.shards - 1) / settings.shards, batch)
    let plan = try run.context.trainingCompiler.compileSuffix(
      graph, partition: partition, parameters: parameters, freezing: phase.plan,
      batch: (settings.shards > 1 ? shard : batch) + 1, size: size)
    if goTogether, let plan = plan as? any ShardedTrainingPlan {
      let ranks = run.context.ranks
      let own = ShardTree(shards: settings.shards).shards(of: ranks.rank, of: ranks.count)
      try plan.hold(shards: own.count)
    }
    return plan
  }
}
