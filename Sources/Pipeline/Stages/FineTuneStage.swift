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

  /// One row of the plan: what becomes of a layer group.
  public struct GroupPlan: Encodable, Sendable {
    /// The group.
    public let group: String
    /// Its weights, scales, shifts and biases.
    public let parameters: Int
    /// How many of them train.
    public let trainable: Int
    /// Mode of its batch norms; nil when it has none.
    public let batchNorm: String?
    /// Its largest learning rate; nil when nothing of it trains.
    public let learningRate: Double?
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
    /// Numbers with a gradient.
    public let trainableParameters: Int
    /// Whether the frozen layers came from the cache.
    public let cached: Bool
    /// What trained.
    public let plan: [GroupPlan]
    /// Whether nothing had to be done.
    public let unchanged: Bool
  }

  /// The plan of the run's recipe, without training.
  ///
  /// - Throws: ``PipelineError/notPrepared(_:needs:command:)`` before head training,
  ///   `NetworkError.unknownGroup`.
  public func plan() throws -> [GroupPlan] {
    let recipe = try run.loadRecipe()
    let manifest = try run.loadManifest()
    return rows(try network(recipe, manifest).network, recipe.fineTune)
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
    let (network, start) = try network(recipe, manifest)
    let rows = rows(network, recipe.fineTune)
    let key = tuningKey(recipe.fineTune, seed: recipe.seed, head: start.key)
    if let known = RunModel.record(at: run.model), known.key == key {
      let time = TrainingTime(in: run, key: key) ?? TrainingTime(photos: 0, seconds: 0)
      return summary(known.outcome, time, start, rows, unchanged: true)
    }
    let store = try FeatureStore(network, manifest: manifest, run: run, context: context)
    _ = try store.fill(manifest.records.filter { $0.split != .test })
    let views = recipe.fineTune.train.cachedViews(seed: recipe.seed)
    _ = try store.fill(manifest.records(in: .train), views: views)
    let train = try store.features(.train, manifest, training: views)
    let checkpoint = TrainerCheckpoint(run, key: key)
    var trained = try GradientTraining(
      label: "Fine-tuning", settings: recipe.fineTune.train, seed: recipe.seed,
      rates: rates(recipe.fineTune, network.graph), network: network,
      data: TrainingData(
        train: train, valid: try store.features(.valid, manifest), classes: manifest.classes,
        labels: train.labels, isCached: network.cachesLayers),
      checkpoint: checkpoint, history: run.history, context: context
    ).run()
    try lock.verify()
    trained = keepingStart(trained, start: start, network)
    try trained.time.write(to: run, key: key)
    try RunModel.write(
      trained, to: run.model, key: key, recipe: recipe, manifest: manifest, network: network,
      isHeadAlone: false)
    try checkpoint.remove()
    return summary(trained.outcome, trained.time, start, rows, unchanged: false)
  }

  /// The start itself when fine-tuning has not lowered the validation loss.
  private func keepingStart(
    _ trained: TrainedNetwork, start: TrainingRecord, _ network: TransferNetwork
  ) -> TrainedNetwork {
    guard let before = start.outcome.bestValidLoss, let after = trained.outcome.bestValidLoss,
      after >= before
    else { return trained }
    context.console.warn(
      "fine-tuning did not lower the validation loss (\(Format.significant(before, 4)) before,"
        + " \(Format.significant(after, 4)) after);"
        + " the model it started from is kept. Try a lower learning rate or fewer groups.")
    var outcome = trained.outcome
    outcome.bestValidAccuracy = start.outcome.bestValidAccuracy
    outcome.bestValidLoss = before
    return TrainedNetwork(parameters: network.parameters, outcome: outcome, time: trained.time)
  }

  private func network(
    _ recipe: Recipe, _ manifest: Manifest
  ) throws -> (network: TransferNetwork, start: TrainingRecord) {
    try run.require(run.headModel, from: "thaw train")
    let model = try ModelFile.read(run.headModel)
    let network = try TransferNetwork(
      recipe, trained: model.parameters, classes: manifest.classes, context: context
    ) { try recipe.fineTune.plan(of: $0) }
    guard model.record.preprocessing == network.preprocessing.json,
      model.record.classNames == manifest.classes
    else {
      throw PipelineError.data(
        "\(run.headModel.displayed): was trained for other classes or another preprocessing than"
          + " the run has now. Run: thaw train --run \(run.path.displayed)")
    }
    return (network, try TrainingRecord(json: model.record.training))
  }

  private func tuningKey(_ settings: Recipe.FineTune, seed: UInt64, head: String) -> String {
    var hash = SHA256()
    hash.update("fine-tuning 1 \(thawVersion) \(context.compiler.trainingEngine.name)")
    hash.update(head)
    hash.update("\(seed) \(settings)")
    return hash.hexadecimalDigest
  }

  private func rates(_ settings: Recipe.FineTune, _ graph: Graph) -> LearningRates {
    LearningRates(settings.rates(groups: graph.groups.count), for: graph)
  }

  private func rows(_ network: TransferNetwork, _ settings: Recipe.FineTune) -> [GroupPlan] {
    let rates = settings.rates(groups: network.graph.groups.count)
    return network.graph.groups.enumerated().map { index, group in
      let nodes = network.graph.nodes.filter { $0.group == index }
      let parameters = nodes.flatMap(\.parameters).filter(\.role.isTrainable)
      let trainable = nodes.flatMap { node in
        node.parameters.filter { network.plan.trains($0, of: node) }
      }
      let norm = nodes.first { if case .batchNormalization = $0.operation { true } else { false } }
      return GroupPlan(
        group: group.name, parameters: parameters.reduce(0) { $0 + $1.shape.count },
        trainable: trainable.reduce(0) { $0 + $1.shape.count },
        batchNorm: norm.map { network.plan.batchNormMode(of: $0).rawValue },
        learningRate: trainable.isEmpty ? nil : rates[index])
    }
  }

  private func summary(
    _ outcome: TrainingOutcome, _ time: TrainingTime, _ start: TrainingRecord,
    _ rows: [GroupPlan], unchanged: Bool
  ) -> Summary {
    Summary(
      epochs: outcome.epochs, bestValidAccuracy: outcome.bestValidAccuracy,
      bestValidLoss: outcome.bestValidLoss, startValidAccuracy: start.outcome.bestValidAccuracy,
      seconds: time.seconds, imagesPerSecond: time.imagesPerSecond,
      trainableParameters: outcome.trainableParameters, cached: outcome.cached, plan: rows,
      unchanged: unchanged)
  }
}

extension Recipe.FineTune {
  /// What of `graph` trains.
  ///
  /// - Throws: `NetworkError.unknownGroup`.
  func plan(of graph: Graph) throws -> FreezePlan {
    groups.isEmpty
      ? .freezing(
        to: freezeTo, of: graph, frozenBatchNorm: frozenBatchNorm,
        trainableBatchNorm: trainableBatchNorm)
      : try .training(
        groups: groups, of: graph, frozenBatchNorm: frozenBatchNorm,
        trainableBatchNorm: trainableBatchNorm)
  }

  /// The largest learning rate of each of `count` layer groups, input to head.
  func rates(groups count: Int) -> [Double] {
    guard let lowestLearningRate else {
      return LearningRates.headAndTenth(train.rate, groups: count)
    }
    return LearningRates.geometric(from: lowestLearningRate, to: train.rate, groups: count)
  }
}
