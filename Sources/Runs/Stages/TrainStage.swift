// SPDX-License-Identifier: Apache-2.0

import Foundation
import ThawCheckpoints
import ThawConsole
import ThawDatasets
import ThawExecution
import ThawFiles
package import ThawInference
import ThawNetwork
import ThawRecipes
import ThawTraining

/// Train the head on cached features and write the model file.
package struct TrainStage {
  private let run: RunDirectory
  private let context: StageContext

  /// Works in `run`.
  package init(_ run: RunDirectory, context: StageContext) {
    self.run = run
    self.context = context
  }

  /// What was trained.
  package struct Summary: Encodable, Sendable {
    /// Passes over the training photos; 0 for a convex solver.
    package var epochs: Int
    /// Of the weights that were kept; nil without validation photos.
    package var bestValidAccuracy: Double?
    /// Their validation loss.
    package var bestValidLoss: Double?
    /// Time of the training alone.
    package var seconds: Double
    /// Training photos (their features) a second.
    package var imagesPerSecond: Double
    /// Numbers with a gradient.
    package var trainableParameters: Int
    /// Whether the frozen layers came from the cache; augmentation is off then.
    package var cached: Bool
    /// Whether nothing had to be done.
    package var unchanged: Bool

    init(_ outcome: TrainingOutcome, _ time: TrainingTime, unchanged: Bool) {
      epochs = outcome.epochs
      bestValidAccuracy = outcome.bestValidAccuracy
      bestValidLoss = outcome.bestValidLoss
      trainableParameters = outcome.trainableParameters
      cached = outcome.cached
      seconds = time.seconds
      imagesPerSecond = time.imagesPerSecond
      self.unchanged = unchanged
    }
  }

  /// Trains, or returns at once when the model is up to date.
  ///
  /// - Throws: ``PipelineError/interrupted`` after saving a checkpoint, `TrainingError.diverged`.
  package func train() throws -> Summary {
    let recipe = try run.loadRecipe()
    let manifest = try run.loadManifest()
    let lock = try run.lock()
    defer { withExtendedLifetime(lock) {} }
    let network = try TransferNetwork(recipe, classes: manifest.classes, context: context)
    let training = HeadTrainingKey(
      recipe, manifest,
      features: network.cacheKey(engine: context.compiler.inferenceEngine.name))
    if let known = try run.finishedTraining(run.headModel, console: context.console),
      FileSystem.exists(run.model), try training.made(known)
    {
      let time = TrainingTime(in: run, key: known.key) ?? TrainingTime(photos: 0, seconds: 0)
      return Summary(known.outcome, time, unchanged: true)
    }
    let key = try training.key()
    let trained = try solve(recipe, manifest, network, key: key)
    try lock.verify()
    try trained.time.write(to: run, key: key)
    for path in [run.model, run.headModel] {
      try RunModel.write(
        trained, to: path, key: key, recipe: recipe, manifest: manifest, network: network,
        isHeadAlone: !network.plan.frozenBatchNorm.movesRunningStatistics)
    }
    try TrainerCheckpoint(run, key: key).remove()
    return Summary(trained.outcome, trained.time, unchanged: false)
  }

  /// Makes the trained head's model the model of the run, where a fine-tuned one has taken its place.
  package func useHead() throws {
    let lock = try run.lock()
    defer { withExtendedLifetime(lock) {} }
    let head = try FileSystem.read(run.headModel)
    guard try FileSystem.read(run.model) != head else { return }
    try AtomicFile.write(run.model, bytes: head)
  }

  private func solve(
    _ recipe: Recipe, _ manifest: Manifest, _ network: TransferNetwork, key: String
  ) throws -> TrainedNetwork {
    if recipe.train.solver == .lbfgs { return try solveConvex(recipe, manifest, network) }
    let snapshots = SnapshotFiles(
      run: run, key: key, recipe: recipe, manifest: manifest, network: network,
      isHeadAlone: !network.plan.frozenBatchNorm.movesRunningStatistics)
    let trained = try GradientTraining(
      label: "Training the head", settings: recipe.train,
      schedule: recipe.train.schedule(
        ofHead: network.graph, size: network.preprocessing.inputSize,
        frozenBatchNorm: recipe.head.frozenBatchNorm),
      network: network,
      sources: TrainingSourceMaker(
        settings: recipe.train, seed: recipe.seed, precision: recipe.cache, manifest: manifest,
        run: run, context: context),
      checkpoint: TrainerCheckpoint(run, key: key), snapshots: snapshots, history: run.history,
      context: context
    ).run()
    try snapshots.removeOthers()
    return trained
  }

  private func solveConvex(
    _ recipe: Recipe, _ manifest: Manifest, _ network: TransferNetwork
  ) throws -> TrainedNetwork {
    let store = try FeatureStore(
      network, manifest: manifest, run: run, context: context,
      precision: FeaturePrecision(recipe.cache))
    _ = try store.fill(manifest.records.filter { $0.split != .test })
    return try ConvexTraining(
      recipe: recipe, network: network, train: store.features(.train, manifest),
      valid: store.features(.valid, manifest), classes: manifest.classes, history: run.history,
      context: context
    ).run()
  }
}
