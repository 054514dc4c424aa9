// SPDX-License-Identifier: Apache-2.0

import ThawCheckpoints
import ThawConsole
import ThawDatasets
import ThawExecution
import ThawFiles
package import ThawInference
import ThawNetwork
package import ThawRecipes
import ThawTraining

/// Thaw layer groups of the backbone and train them, from the model that head training left.
package struct FineTuneStage {
  private let run: RunDirectory
  private let context: StageContext

  /// Works in `run`.
  package init(_ run: RunDirectory, context: StageContext) {
    self.run = run
    self.context = context
  }

  /// What was trained.
  package struct Summary: Encodable, Sendable {
    /// Passes over the training photos.
    package let epochs: Int
    /// Of the weights that were kept.
    package let bestValidAccuracy: Double?
    /// Their validation loss.
    package let bestValidLoss: Double?
    /// Accuracy of the model that fine-tuning started from.
    package let startValidAccuracy: Double?
    /// Where the kept weights lie between those of the start (0) and those of the end (1); nil
    /// without validation photos.
    package let interpolation: Double?
    /// Time, seconds.
    package let seconds: Double
    /// Training photos a second.
    package let imagesPerSecond: Double
    /// Numbers with a gradient in some phase.
    package let trainableParameters: Int
    /// Whether the frozen layers came from the cache, in the last phase.
    package let cached: Bool
    /// What trained in the last phase.
    package let plan: [GroupPlan]
    /// What trained when.
    package let phases: [PhasePlan]
    /// Whether nothing had to be done.
    package let unchanged: Bool
  }

  /// The plan, without training: one phase after the other.
  ///
  /// - Parameter recipe: nil for the run's.
  /// - Throws: ``PipelineError/notPrepared(_:needs:command:)`` before head training,
  ///   `NetworkError.unknownGroup`, ``PipelineError/usage(_:)``.
  package func plan(of recipe: Recipe? = nil) throws -> [PhasePlan] {
    let recipe = try recipe ?? run.loadRecipe()
    let start = try FineTuneStart(recipe, try run.loadManifest(), in: run, context: context)
    return start.phases
  }

  /// Fine-tunes, or returns at once when the model is up to date. The weights with the lowest
  /// validation loss are kept: an epoch's, those of the start, or some between the two.
  ///
  /// - Throws: ``PipelineError/interrupted`` after saving a checkpoint, `TrainingError.diverged`.
  package func fineTune() throws -> Summary {
    let recipe = try run.loadRecipe()
    let manifest = try run.loadManifest()
    let lock = try run.lock()
    defer { withExtendedLifetime(lock) {} }
    let start = try FineTuneStart(recipe, manifest, in: run, context: context)
    let tuning = FineTuningKey(
      recipe, head: start.record, engine: context.compiler.trainingEngine.name)
    if let known = try run.finishedTraining(run.model, console: context.console),
      tuning.made(known)
    {
      let time = TrainingTime(in: run, key: known.key) ?? TrainingTime(photos: 0, seconds: 0)
      return summary(known.outcome, time, start, unchanged: true)
    }
    let key = tuning.key
    let checkpoint = TrainerCheckpoint(run, key: key)
    let snapshots = SnapshotFiles(
      run: run, key: key, recipe: recipe, manifest: manifest, network: start.network,
      isHeadAlone: false)
    let sources = TrainingSourceMaker(
      settings: recipe.fineTune.train, seed: recipe.seed, precision: recipe.cache,
      manifest: manifest, run: run, context: context)
    let end = try GradientTraining(
      label: "Fine-tuning", settings: recipe.fineTune.train, schedule: start.schedule,
      network: start.network, sources: sources, checkpoint: checkpoint, snapshots: snapshots,
      history: run.history, context: context
    ).run()
    let trained = try InterpolationSearch(
      start: start, sources: sources, isWanted: recipe.fineTune.interpolation, context: context
    ).best(end)
    try lock.verify()
    try trained.time.write(to: run, key: key)
    try RunModel.write(
      trained, to: run.model, key: key, recipe: recipe, manifest: manifest, network: start.network,
      isHeadAlone: false)
    try snapshots.removeOthers()
    try checkpoint.remove()
    return summary(trained.outcome, trained.time, start, unchanged: false)
  }

  private func summary(
    _ outcome: TrainingOutcome, _ time: TrainingTime, _ start: FineTuneStart, unchanged: Bool
  ) -> Summary {
    Summary(
      epochs: outcome.epochs, bestValidAccuracy: outcome.bestValidAccuracy,
      bestValidLoss: outcome.bestValidLoss,
      startValidAccuracy: start.record.outcome.bestValidAccuracy,
      interpolation: outcome.interpolation,
      seconds: time.seconds, imagesPerSecond: time.imagesPerSecond,
      trainableParameters: outcome.trainableParameters, cached: outcome.cached,
      plan: start.phases.last?.groups ?? [], phases: start.phases, unchanged: unchanged)
  }
}
