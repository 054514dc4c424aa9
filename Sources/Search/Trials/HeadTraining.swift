// SPDX-License-Identifier: Apache-2.0

import Glibc
package import SystemPackage
import ThawBackbones
import ThawConsole
package import ThawDatasets
import ThawExecution
package import ThawImages
import ThawInference
package import ThawNetwork
import ThawOneDNN
package import ThawRecipes
package import ThawRuns
package import ThawTensors
import ThawTraining

/// Trains heads of a run on some of its photos and answers for others, from cached features and without
/// leaving a file.
///
/// With the same photos, settings and seed a head is the one that `thaw train` makes.
package final class HeadTraining {
  /// The run whose photos and settings they are.
  package let run: OpenRun
  private var backbones: [String: PretrainedBackbone] = [:]
  /// The caches that hold every photo's features already, by what they depend on.
  private var stores: [String: FeatureStore] = [:]
  /// Seconds in which features were computed so far.
  package private(set) var preparation = 0.0

  /// Trains heads of `run`.
  package init(_ run: OpenRun) { self.run = run }

  /// The network of a recipe with a fresh head; weights are read once.
  package func network(_ recipe: Recipe) throws -> TransferNetwork {
    if backbones[recipe.backbone] == nil {
      let card = try run.context.pretrained.card(named: recipe.backbone)
      backbones[recipe.backbone] = try PretrainedBackbone(card, from: run.context.pretrained)
    }
    guard let backbone = backbones[recipe.backbone] else { throw PipelineError.interrupted }
    return try TransferNetwork(
      recipe, on: backbone, classes: run.manifest.classes, context: run.context)
  }

  /// Features that are in the cache for `records`, computed where they are missing.
  ///
  /// - Parameters:
  ///   - views: of each photo; the plain one by itself.
  ///   - folder: where the photos are; nil for the run's own.
  package func store(
    _ network: TransferNetwork, _ recipe: Recipe, filledWith records: [Manifest.Record],
    views: [TestTimeView] = [.plain(.center)], in folder: FilePath? = nil
  ) throws -> FeatureStore {
    let size = network.preprocessing.inputSize
    let key = "\(recipe.backbone) \(size) \(recipe.precision) \(recipe.cache)"
    let store =
      try stores[key]
      ?? FeatureStore(network, of: run, precision: FeaturePrecision(recipe.cache))
    stores[key] = store
    try fill(store, records, views: views, in: folder)
    return store
  }

  /// Fills the cache with all that heads of `recipe` need; ranks of a job do it together.
  ///
  /// - Parameter training: of the records, those that a head is trained on, in the recipe's views.
  func prepare(
    _ recipe: Recipe, _ records: [Manifest.Record], training: [Manifest.Record]
  ) throws {
    let store = try store(network(recipe), recipe, filledWith: records)
    let views = recipe.train.cachedViews(seed: run.recipe.seed)
    if !views.isEmpty { try fill(store, training, views: views) }
  }

  private func fill(
    _ store: FeatureStore, _ records: [Manifest.Record], views: [TestTimeView],
    in folder: FilePath? = nil
  ) throws {
    let clock = ContinuousClock.now
    if try store.fill(records, views: views, in: folder) > 0 {
      preparation += clock.duration(to: .now) / .seconds(1)
    }
  }

  /// A trained head.
  struct Trained {
    /// The whole network's weights.
    let parameters: Parameters
    /// Of a training by gradient; nil for a convex solver.
    var result: TrainingResult?
    /// C of a convex solver.
    var inverseStrength: Double?
  }

  /// A head trained on `training`: the whole network's weights.
  ///
  /// - Parameter validation: photos that choose the epoch and stop the training early; none for all epochs.
  /// - Throws: ``SearchFailure`` when these settings cannot train, or diverge.
  package func train(
    _ network: TransferNetwork, _ recipe: Recipe, on training: [Manifest.Record],
    validation: [Manifest.Record] = []
  ) throws -> Parameters {
    try trained(network, recipe, on: training, validation: validation).parameters
  }

  /// As ``train(_:_:on:validation:)``.
  ///
  /// - Parameter pseudo: photos without labels that are trained on beside.
  func trained(
    _ network: TransferNetwork, _ recipe: Recipe, on training: [Manifest.Record],
    validation: [Manifest.Record] = [], beside pseudo: PseudoLabelledPhotos? = nil
  ) throws -> Trained {
    let (settings, manifest) = (recipe.train, run.manifest)
    try HeadTraining.check(recipe, network)
    // Of the run's seed whatever the head's: a view is computed once, for all heads.
    let views = settings.cachedViews(seed: run.recipe.seed)
    let store = try store(network, recipe, filledWith: training + validation)
    if !views.isEmpty { try fill(store, training, views: views) }
    func features(_ records: [Manifest.Record], _ labels: SampleLabels) throws -> CachedFeatures {
      let matrices = try views.map { try store.matrix(records, view: $0) }
      return CachedFeatures(
        clean: try matrices.first ?? store.matrix(records), training: matrices, labels: labels)
    }
    let labelled = try features(training, SampleLabels(of: training, in: manifest))
    let pool = try pseudo.map { pseudo in
      try pseudo.source(
        beside: labelled,
        features(pseudo.records, .single([Int](repeating: 0, count: pseudo.records.count))),
        inTurns: settings.solver != .lbfgs)
    }
    do {
      if settings.solver == .lbfgs { return try solve(network, recipe, labelled, pool) }
      let held = CachedFeatures(
        clean: try store.matrix(validation), labels: SampleLabels(of: validation, in: manifest))
      return try descend(network, recipe, pool ?? labelled, labelled.labels, held)
    } catch let error as TrainingError {
      throw SearchFailure("\(error)")
    }
  }

  /// The logits of a trained network, [records, classes].
  package func logits(
    _ network: TransferNetwork, _ recipe: Recipe, _ parameters: Parameters,
    of records: [Manifest.Record]
  ) throws -> Tensor<Float> {
    let store = try store(network, recipe, filledWith: records)
    let source = CachedFeatures(
      clean: try store.matrix(records),
      // Of photos without labels as well.
      labels: .single([Int](repeating: 0, count: records.count)))
    return try network.logits(
      of: source.tensor, parameters: parameters, compiler: run.context.compiler)
  }

  private static func check(_ recipe: Recipe, _ network: TransferNetwork) throws {
    if recipe.train.solver == .lbfgs, recipe.head.hidden != nil {
      throw SearchFailure("The solver lbfgs trains a head without a hidden layer.")
    }
    if recipe.train.augmentation.isActive, recipe.train.views == .fresh,
      recipe.train.solver != .lbfgs
    {
      throw PipelineError.usage(
        "a search trains heads on cached features, and train.views is fresh. Set it to a number.")
    }
    if network.plan.frozenBatchNorm.movesRunningStatistics || network.partition.prefix.isEmpty {
      throw PipelineError.usage(
        "a search trains heads on cached features, and head.frozen_batch_norm has the whole network"
          + " run in training. Set it to inference.")
    }
    guard recipe.train.sizes.isEmpty else {
      throw PipelineError.usage(
        "a search trains heads at one input size, and train.sizes has several. Leave it out.")
    }
  }

  private func solve(
    _ network: TransferNetwork, _ recipe: Recipe, _ source: CachedFeatures,
    _ pool: PooledFeatures?
  ) throws -> Trained {
    let classes = run.manifest.classes.count
    let solver = LogisticRegression(
      regularization: recipe.train.regularization.map(Regularization.inverseStrength) ?? .automatic,
      classWeights: recipe.train.weights(source.labels, classes: classes), seed: recipe.seed)
    let model = try solver.fit(
      pool ?? source, classes: classes, sampleWeights: pool?.weights ?? [],
      onSolve: { try run.context.checkInterruption() })
    var parameters = network.parameters
    parameters[network.classifier.appending("weight")] = model.weight
    parameters[network.classifier.appending("bias")] = model.bias
    return Trained(parameters: parameters, inverseStrength: model.inverseStrength)
  }

  private func descend(
    _ network: TransferNetwork, _ recipe: Recipe, _ source: any FeatureSource,
    _ labels: SampleLabels, _ held: CachedFeatures
  ) throws -> Trained {
    let settings = recipe.train
    let context = run.context
    let schedule = try settings.schedule(
      ofHead: network.graph, size: network.preprocessing.inputSize,
      frozenBatchNorm: recipe.head.frozenBatchNorm)
    let training = try PhasedTraining(
      schedule,
      configuration: settings.configuration(
        samples: source.count, hasValidation: held.count > 0, seed: recipe.seed),
      graph: network.graph, parameters: network.parameters,
      loss: settings.loss(labels, classes: run.manifest.classes.count)
    ) { phase, parameters in
      PhaseSetting(
        plan: try context.compiler.compileSuffix(
          network.graph, partition: network.partition, parameters: parameters,
          freezing: phase.plan, batch: min(settings.batch, source.count) + 1, size: network.size),
        training: source, validation: held.count > 0 ? held : nil)
    }
    let result = try training.run(TrainerHooks(isCancelled: { context.isInterrupted() }))
    guard result.outcome != .cancelled else { throw PipelineError.interrupted }
    return Trained(parameters: training.parameters, result: result)
  }
}
