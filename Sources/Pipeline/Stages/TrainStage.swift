// SPDX-License-Identifier: Apache-2.0

import Checkpoints
import Datasets
import Execution
import Files
import Foundation
import Images
import Network
import Training

/// Train the head on cached features and write the model file.
public struct TrainStage {
  private let run: RunDirectory
  private let context: StageContext

  /// Works in `run`.
  public init(_ run: RunDirectory, context: StageContext) {
    self.run = run
    self.context = context
  }

  /// What was trained.
  public struct Summary: Encodable, Sendable {
    /// Passes over the training photos; 0 for a convex solver.
    public var epochs: Int
    /// Of the weights that were kept; nil without validation photos.
    public var bestValidAccuracy: Double?
    /// Their validation loss.
    public var bestValidLoss: Double?
    /// Time of the training alone.
    public var seconds: Double
    /// Training photos (their features) a second.
    public var imagesPerSecond: Double
    /// Numbers with a gradient.
    public var trainableParameters: Int
    /// Whether the frozen layers came from the cache; augmentation is off then.
    public var cached: Bool
    /// Whether nothing had to be done.
    public var unchanged: Bool

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
  public func train() throws -> Summary {
    let recipe = try run.loadRecipe()
    let manifest = try run.loadManifest()
    let lock = try run.lock()
    defer { withExtendedLifetime(lock) {} }
    let network = try TransferNetwork(recipe, classes: manifest.classes, context: context)
    let key = try trainingKey(recipe, manifest, network)
    if let record = try? ModelFile.read(run.model).record,
      let training = try? TrainingRecord(json: record.training), training.key == key
    {
      let time = TrainingTime(in: run, key: key) ?? TrainingTime(photos: 0, seconds: 0)
      return Summary(training.outcome, time, unchanged: true)
    }
    let store = try FeatureStore(network, manifest: manifest, run: run, context: context)
    _ = try store.fill(manifest.records, views: [.center])
    let data = TrainingData(
      train: try features(.train, manifest, store), valid: try features(.valid, manifest, store),
      classes: manifest.classes)
    let trained = try HeadTraining(
      recipe: recipe, network: network, data: data, checkpoint: TrainerCheckpoint(run, key: key),
      history: run.history, context: context
    ).run()
    try lock.verify()
    try write(trained, key: key, recipe: recipe, manifest: manifest, network: network)
    return Summary(trained.outcome, trained.time, unchanged: false)
  }

  private func features(
    _ split: Split, _ manifest: Manifest, _ store: FeatureStore
  ) throws -> CachedFeatures {
    let records = manifest.records(in: split)
    let indices = manifest.classIndices
    return CachedFeatures(
      matrix: try store.matrix(records, view: .center),
      labels: records.compactMap { indices[$0.className] })
  }

  private func trainingKey(
    _ recipe: Recipe, _ manifest: Manifest, _ network: TransferNetwork
  ) throws -> String {
    var hash = SHA256()
    hash.update("training 1 \(thawVersion)")
    hash.update(try network.featureKey(engine: context.compiler.inferenceEngine.name))
    hash.update("\(recipe.seed) \(recipe.head) \(recipe.train) \(recipe.train.rate)")
    for name in manifest.classes { hash.update(name) }
    for record in manifest.records {
      hash.update("\(record.sha256) \(record.className) \(record.split.rawValue)")
    }
    return hash.hexadecimalDigest
  }

  private func write(
    _ trained: TrainedHead, key: String, recipe: Recipe, manifest: Manifest,
    network: TransferNetwork
  ) throws {
    let counts = Dictionary(
      uniqueKeysWithValues: Split.allCases.map { ($0.rawValue, manifest.records(in: $0).count) })
    let training = TrainingRecord(
      key: key, recipe: recipe.yaml, backbone: network.backbone.card.name,
      weightsHash: network.backbone.card.sha256, photos: counts, head: recipe.head,
      outcome: trained.outcome)
    var record = ModelRecord(
      thawVersion: thawVersion, architecture: network.graph.name, classNames: manifest.classes,
      preprocessing: network.preprocessing.json, freezing: network.plan,
      training: try training.json())
    record.notes["license"] = network.backbone.card.license
    try trained.time.write(to: run, key: key)
    try ModelFile.write(run.model, record, trained.parameters)
    try TrainerCheckpoint(run, key: key).remove()
  }
}
