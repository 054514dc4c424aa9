// SPDX-License-Identifier: Apache-2.0

import Checkpoints
import Datasets
import Execution
import Files
import Network
import Reports
import Training

/// Thaw layer groups of the backbone and train them, from the model that head training left.
public struct FineTuneStage {
  private let run: RunDirectory
  private let context: StageContext

  /// Works in `run`.
  public init(_ run: RunDirectory, context: StageContext) {
    self.run = run
    self.context = context
  }

  /// What was trained.
  public struct Summary: Encodable, Sendable {
    /// Passes over the training photos.
    public let epochs: Int
    /// Of the weights that were kept.
    public let bestValidAccuracy: Double?
    /// Their validation loss.
    public let bestValidLoss: Double?
    /// Accuracy of the model that fine-tuning started from.
    public let startValidAccuracy: Double?
    /// Time, seconds.
    public let seconds: Double
    /// Training photos a second.
    public let imagesPerSecond: Double
    /// Numbers with a gradient in some phase.
    public let trainableParameters: Int
    /// Whether the frozen layers came from the cache, in the last phase.
    public let cached: Bool
    /// What trained in the last phase.
    public let plan: [GroupPlan]
    /// What trained when.
    public let phases: [PhasePlan]
    /// Whether nothing had to be done.
    public let unchanged: Bool
  }

  /// The plan, without training: one phase after the other.
  ///
  /// - Parameter recipe: nil for the run's.
  /// - Throws: ``PipelineError/notPrepared(_:needs:command:)`` before head training,
  ///   `NetworkError.unknownGroup`, ``PipelineError/usage(_:)``.
  public func plan(of recipe: Recipe? = nil) throws -> [PhasePlan] {
    let recipe = try recipe ?? run.loadRecipe()
    let start = try FineTuneStart(recipe, try run.loadManifest(), in: run, context: context)
    return start.phases
  }

  /// Fine-tunes, or returns at once when the model is up to date. The weights with the lowest
  /// validation loss are kept; when none beats the start, the start is kept.
  ///
  /// - Throws: ``PipelineError/interrupted`` after saving a checkpoint, `TrainingError.diverged`.
  public func fineTune() throws -> Summary {
    let recipe = try run.loadRecipe()
    let manifest = try run.loadManifest()
    let lock = try run.lock()
    defer { withExtendedLifetime(lock) {} }
    let start = try FineTuneStart(recipe, manifest, in: run, context: context)
    let key = tuningKey(recipe, head: start.record.key)
    if let known = RunModel.record(at: run.model), known.key == key {
      let time = TrainingTime(in: run, key: key) ?? TrainingTime(photos: 0, seconds: 0)
      return summary(known.outcome, time, start, unchanged: true)
    }
    let checkpoint = TrainerCheckpoint(run, key: key)
    let snapshots = SnapshotFiles(
      run: run, key: key, recipe: recipe, manifest: manifest, network: start.network,
      isHeadAlone: false)
    var trained = try GradientTraining(
      label: "Fine-tuning", settings: recipe.fineTune.train, schedule: start.schedule,
      network: start.network,
      sources: TrainingSourceMaker(
        settings: recipe.fineTune.train, seed: recipe.seed, precision: recipe.cache,
        manifest: manifest, run: run, context: context),
      checkpoint: checkpoint, snapshots: snapshots, history: run.history, context: context
    ).run()
    try lock.verify()
    trained = keepingStart(trained, start: start)
    try trained.time.write(to: run, key: key)
    try RunModel.write(
      trained, to: run.model, key: key, recipe: recipe, manifest: manifest, network: start.network,
      isHeadAlone: false)
    try snapshots.removeOthers()
    try checkpoint.remove()
    return summary(trained.outcome, trained.time, start, unchanged: false)
  }

  /// The start itself when fine-tuning has not lowered the validation loss.
  private func keepingStart(_ trained: TrainedNetwork, start: FineTuneStart) -> TrainedNetwork {
    guard let before = start.record.outcome.bestValidLoss,
      let after = trained.outcome.bestValidLoss, after >= before
    else { return trained }
    context.console.warn(
      "fine-tuning did not lower the validation loss (\(Format.significant(before, 4)) before,"
        + " \(Format.significant(after, 4)) after);"
        + " the model it started from is kept. Try a lower learning rate or fewer groups.")
    var outcome = trained.outcome
    outcome.bestValidAccuracy = start.record.outcome.bestValidAccuracy
    outcome.bestValidLoss = before
    return TrainedNetwork(
      parameters: start.network.parameters, outcome: outcome, time: trained.time)
  }

  private func tuningKey(_ recipe: Recipe, head: String) -> String {
    var hash = SHA256()
    hash.update("fine-tuning 2 \(thawVersion) \(context.compiler.trainingEngine.name)")
    hash.update(head)
    var settings = recipe.fineTune
    // Whether `fit` fine-tunes changes nothing about how.
    settings.enabled = true
    hash.update("\(recipe.seed) \(recipe.cache) \(settings.usualRate) \(settings.yaml)")
    return hash.hexadecimalDigest
  }

  private func summary(
    _ outcome: TrainingOutcome, _ time: TrainingTime, _ start: FineTuneStart, unchanged: Bool
  ) -> Summary {
    Summary(
      epochs: outcome.epochs, bestValidAccuracy: outcome.bestValidAccuracy,
      bestValidLoss: outcome.bestValidLoss,
      startValidAccuracy: start.record.outcome.bestValidAccuracy,
      seconds: time.seconds, imagesPerSecond: time.imagesPerSecond,
      trainableParameters: outcome.trainableParameters, cached: outcome.cached,
      plan: start.phases.last?.groups ?? [], phases: start.phases, unchanged: unchanged)
  }
}
