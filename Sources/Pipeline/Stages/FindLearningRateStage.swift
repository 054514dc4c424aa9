// SPDX-License-Identifier: Apache-2.0

import Execution
import Files
import Foundation
public import Training

/// Sweep the learning rate of the head on cached features and suggest one.
public struct FindLearningRateStage {
  private let run: RunDirectory
  private let context: StageContext

  /// Works in `run`.
  public init(_ run: RunDirectory, context: StageContext) {
    self.run = run
    self.context = context
  }

  /// Raises the rate from step to step until the loss diverges. Nothing of the run changes but
  /// `lr_finder.json`, which the report shows.
  ///
  /// - Parameters:
  ///   - start: the first rate.
  ///   - end: the last rate.
  ///   - iterations: steps of the sweep.
  /// - Throws: ``PipelineError/interrupted``; ``PipelineError/usage(_:)`` for an impossible sweep.
  public func find(
    from start: Double = 1e-5, to end: Double = 10, iterations: Int = 100
  ) throws -> LearningRateSearch {
    let recipe = try run.loadRecipe()
    let manifest = try run.loadManifest()
    let settings = recipe.train
    guard settings.solver != .lbfgs else {
      throw PipelineError.usage("the solver lbfgs has no learning rate. Use sgd or adam.")
    }
    let lock = try run.lock()
    defer { withExtendedLifetime(lock) {} }
    let network = try TransferNetwork(recipe, classes: manifest.classes, context: context)
    let store = try FeatureStore(network, manifest: manifest, run: run, context: context)
    _ = try store.fill(manifest.records(in: .train))
    let train = try store.features(.train, manifest)
    let configuration = settings.configuration(
      samples: train.count, hasValidation: false, seed: recipe.seed)
    let sweep = LearningRateSweep(
      start: start, end: end, iterations: iterations, batchSize: configuration.batchSize,
      seed: recipe.seed)
    if let problem = sweep.problem { throw PipelineError.usage(problem) }
    let plan = try context.compiler.compileSuffix(
      network.graph, partition: network.partition, parameters: network.parameters,
      freezing: network.plan, batch: configuration.batchSize + 1, size: network.size)
    let progress = context.console.progress(
      "Sweeping the learning rate", total: iterations, unit: "steps")
    let result = try LearningRateFinder(sweep, optimizer: configuration.optimizer).search(
      plan, on: train, isCancelled: { Interruption.isRequested },
      onStep: { _ in progress.advance() })
    try Interruption.check()
    progress.finish()
    try AtomicFile.write(run.learningRateSearch, text: try JSONText.of(result) + "\n")
    return result
  }

  /// The search of the run, for the report; nil when there is none.
  static func search(of run: RunDirectory) -> LearningRateSearch? {
    guard let bytes = try? FileSystem.read(run.learningRateSearch, limit: 1 << 24) else {
      return nil
    }
    return try? JSONDecoder().decode(LearningRateSearch.self, from: Data(bytes))
  }
}
