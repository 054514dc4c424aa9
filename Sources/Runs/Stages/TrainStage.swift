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
  private let run: OpenRun
  private let helping: (any UnlabelledHelping)?

  /// Works in `run`.
  ///
  /// - Parameter helping: who can use photos without labels, where the recipe names some.
  package init(_ run: OpenRun, unlabelled helping: (any UnlabelledHelping)? = nil) {
    self.run = run
    self.helping = helping
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
    /// Whether the head's model took the place of a fine-tuned one.
    package var replacedFineTuned: Bool
    /// Whether photos may have several labels; the accuracy is then the share with every label right.
    package var severalLabels: Bool
    /// What photos without labels were worth; nil without any.
    package var unlabelled: UnlabelledResult?

    init(
      _ outcome: TrainingOutcome, _ time: TrainingTime, severalLabels: Bool, unchanged: Bool,
      replacedFineTuned: Bool = false, unlabelled: UnlabelledResult? = nil
    ) {
      self.unlabelled = unlabelled
      self.severalLabels = severalLabels
      self.replacedFineTuned = replacedFineTuned
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
  /// - Parameter isFineTunedNext: whether a fine-tuned model that the head's takes the place of comes
  ///   back by itself.
  /// - Throws: ``PipelineError/interrupted`` after saving a checkpoint, `TrainingError.diverged`.
  package func train(isFineTunedNext: Bool = false) throws -> Summary {
    let network = try TransferNetwork(
      run.recipe, classes: run.manifest.classes, context: run.context)
    let unlabelled = try run.unlabelled(helping)
    func whole(_ training: HeadTrainingKey) -> HelpedTrainingKey {
      HelpedTrainingKey(training: training, unlabelled: unlabelled?.key)
    }
    let known =
      try FileSystem.exists(run.directory.model)
      ? run.finishedTraining(run.directory.headModel) : nil
    if let known, try whole(key(network, engine: nil)).made(known) { return unchanged(known) }
    let engine = try engine(for: network)
    let training = try key(network, engine: engine?.name)
    if let known, try whole(training).made(known) { return unchanged(known) }
    let hasModel = FileSystem.exists(run.directory.model)
    let former = try hasModel ? known : run.finishedTraining(run.directory.headModel)
    if let former {
      TrainingChanges(since: former, run, sections: ["", "image", "head", "train"])
        .say(TrainStage.label, to: run.context.console)
    }
    let replaces = try holdsFineTuned(head: former)
    engine?.report(TrainStage.label, to: run.context)
    // By all ranks, whatever then trains on the rows.
    if run.context.ranks.hasOthers { _ = try CacheStage(run).fill() }
    let (result, head) = try unlabelled?.head(of: network) ?? (nil, nil)
    if let result { run.context.console.say(result.text) }
    let trained =
      try helped(head, network) ?? finished(training, known)
      ?? solve(network, key: training.key())
    let key = try whole(training).key(isHelped: result?.isKept ?? false)
    try run.verify()
    try trained.time.write(to: run.directory, key: key, threads: run.context.threads)
    // A fine-tuned model that began with this very head is still its.
    let isSame = known?.key == key && replaces
    let places = isSame ? [] : [run.directory.model]
    try RunModel.write(
      trained, to: places + [run.directory.headModel], key: key, run, network: network,
      isHeadAlone: network.keepsStatistics, unlabelled: result)
    try TrainerCheckpoint(run.directory, key: training.key()).remove()
    if isSame {
      return Summary(
        trained.outcome, trained.time, severalLabels: run.manifest.severalLabels,
        unchanged: false, unlabelled: result)
    }
    if replaces, !isFineTunedNext {
      run.context.console.warn(
        "\(run.directory.model.displayed) was fine-tuned; it is now the head that was trained anew. To"
          + " fine-tune it again, run: thaw fine-tune --run \(run.directory.path.quoted)")
    }
    return Summary(
      trained.outcome, trained.time, severalLabels: run.manifest.severalLabels, unchanged: false,
      replacedFineTuned: replaces, unlabelled: result)
  }

  private func unchanged(_ known: TrainingRecord) -> Summary {
    Summary(
      known.outcome, run.time(of: known), severalLabels: run.manifest.severalLabels,
      unchanged: true, unlabelled: run.recipe.data.unlabelled.isEmpty ? nil : known.unlabelled)
  }

  /// The head that the run has, where this very training has made it and photos without labels are yet to be
  /// looked at.
  private func finished(
    _ training: HeadTrainingKey, _ known: TrainingRecord?
  ) throws -> TrainedNetwork? {
    guard let known, known.unlabelled?.isKept != true, try training.made(known) else { return nil }
    return TrainedNetwork(
      parameters: try ModelFile.read(run.directory.headModel).parameters, outcome: known.outcome,
      time: run.time(of: known))
  }

  /// The head that photos without labels have helped.
  private func helped(_ head: HelpedHead?, _ network: TransferNetwork) throws -> TrainedNetwork? {
    guard let head else { return nil }
    try run.directory.history.write(head.history)
    let count = network.plan.trainableParameters(of: network.graph).reduce(0) {
      $0 + $1.shape.count
    }
    return TrainedNetwork(
      parameters: head.parameters,
      outcome: TrainingOutcome(
        epochs: head.history.count, bestValidAccuracy: head.validAccuracy,
        bestValidLoss: head.validLoss, trainableParameters: count, cached: true),
      time: TrainingTime(
        photos: max(head.history.count, 1) * head.samples, seconds: head.seconds))
  }

  /// Goes through the training that rank 0 does, and writes nothing.
  ///
  /// - Throws: as ``train(isFineTunedNext:)``.
  package func follow() throws {
    let network = try TransferNetwork(
      run.recipe, classes: run.manifest.classes, context: run.context)
    let engine = try engine(for: network)
    _ = try solve(network, key: try key(network, engine: engine?.name).key())
  }

  /// Whether the head that the run has was trained on its photos as they are now.
  ///
  /// A head of version 0.1.0 does not say which photos it saw: it did, if the same training on the
  /// photos of now would find it made.
  func headKnowsPhotos(_ head: TrainingRecord) throws -> Bool {
    if let key = head.photosKey { return key == run.manifest.photosKey }
    guard let recipe = head.readRecipe() else { return true }
    let then = TrainStage(run.with(recipe))
    let network = try TransferNetwork(
      recipe, classes: run.manifest.classes, context: run.context)
    if try then.key(network, engine: nil).made(head) { return true }
    guard let engine = try then.engine(for: network) else { return false }
    return try then.key(network, engine: engine.name).made(head)
  }

  /// Whether the run's model is not the head's.
  private func holdsFineTuned(head: TrainingRecord?) throws -> Bool {
    guard let head, let model = try run.finishedTraining(run.directory.model) else { return false }
    return model.key != head.key
  }

  /// Makes the trained head's model the model of the run, where a fine-tuned one has taken its place,
  /// and says so.
  package func useHead() throws {
    let head = try FileSystem.read(run.directory.headModel)
    guard try FileSystem.read(run.directory.model) != head else { return }
    try AtomicFile.write(run.directory.model, bytes: head)
    run.context.console.warn(
      "\(run.directory.model.displayed) was fine-tuned; the recipe leaves the backbone frozen, so it is"
        + " now the trained head.")
  }

  /// The engine that trains by gradient, where it is another than the chosen one.
  private func engine(for network: TransferNetwork) throws -> TrainingEngine? {
    guard run.recipe.train.solver != .lbfgs else { return nil }
    let engine = try TrainingEngine(
      network, schedule(of: network), settings: run.recipe.train, run: run)
    return engine.name == run.context.compiler.trainingEngine.name ? nil : engine
  }

  private func key(_ network: TransferNetwork, engine: String?) throws -> HeadTrainingKey {
    HeadTrainingKey(
      run.recipe, run.manifest,
      features: network.cacheKey(engine: run.context.compiler.inferenceEngine),
      trainingEngine: engine, shrinksPhotos: try run.shrinksPhotos(run.recipe.train))
  }

  private func schedule(of network: TransferNetwork) throws -> FreezeSchedule {
    try run.recipe.train.schedule(
      ofHead: network.graph, size: network.preprocessing.inputSize,
      frozenBatchNorm: run.recipe.head.frozenBatchNorm)
  }

  private static let label = "Training the head"

  private func solve(_ network: TransferNetwork, key: String) throws -> TrainedNetwork {
    let settings = run.recipe.train
    if settings.solver == .lbfgs { return try solveConvex(network) }
    let snapshots = SnapshotFiles(
      run: run, key: key, network: network, isHeadAlone: network.keepsStatistics)
    let sources = TrainingSourceMaker(run: run, settings: settings)
    let trained = try GradientTraining(
      job: .train, label: TrainStage.label, settings: settings, schedule: schedule(of: network),
      network: network, sources: sources,
      snapshots: snapshots
    ).train()
    if run.context.ranks.isLeader {
      try snapshots.removeOthers()
      sources.removePixels()
    }
    return trained
  }

  private func solveConvex(_ network: TransferNetwork) throws -> TrainedNetwork {
    let store = try FeatureStore(network, of: run, precision: FeaturePrecision(run.recipe.cache))
    _ = try store.fill(run.manifest.records.filter { $0.split != .test })
    return try ConvexTraining(
      run: run, network: network, train: store.features(.train, run.manifest),
      valid: store.features(.valid, run.manifest)
    ).solve()
  }
}

extension TransferNetwork {
  /// Whether training leaves the running statistics of the frozen layers as they are: then only the
  /// head differs from the backbone as it was published.
  fileprivate var keepsStatistics: Bool { !plan.frozenBatchNorm.movesRunningStatistics }
}
