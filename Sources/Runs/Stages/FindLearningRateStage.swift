// SPDX-License-Identifier: Apache-2.0

import Foundation
import ThawConsole
import ThawDatasets
import ThawExecution
import ThawFiles
import ThawInference
import ThawOneDNN
import ThawRecipes
package import ThawTraining

/// Sweep the learning rate of the head, or of thawed layers, and suggest one.
package struct FindLearningRateStage {
  private let run: OpenRun

  /// Works in `run`.
  package init(_ run: OpenRun) { self.run = run }

  /// What a sweep trains.
  package enum Target: Hashable, Sendable {
    /// The head, on cached features: seconds.
    case head
    /// The network as a phase of fine-tuning thaws it, from the trained head on; phases are numbered
    /// from 1, nil is the last.
    case fineTuning(phase: Int?)
  }

  /// Raises the rate from step to step until the loss diverges. Nothing of the run changes but
  /// `lr_finder.json`, which the report shows.
  ///
  /// - Parameters:
  ///   - start: the first rate, of the layer group with the highest one.
  ///   - end: the last rate.
  ///   - iterations: steps of the sweep.
  ///   - target: what trains.
  /// - Throws: ``PipelineError/interrupted``; ``PipelineError/usage(_:)`` for an impossible sweep.
  package func find(
    from start: Double = 1e-5, to end: Double = 10, iterations: Int = 100,
    of target: Target = .head
  ) throws -> LearningRateSearch {
    let (recipe, manifest, context) = (run.recipe, run.manifest, run.context)
    let settings = target == .head ? recipe.train : recipe.fineTune.train
    guard settings.solver != .lbfgs else {
      throw PipelineError.usage("the solver lbfgs has no learning rate. Use sgd or adam.")
    }
    let (network, rates) = try swept(target)
    let configuration = settings.configuration(
      samples: manifest.records(in: .train).count, hasValidation: false, seed: recipe.seed)
    let sweep = LearningRateSweep(
      start: start, end: end, iterations: iterations, batchSize: configuration.batchSize,
      seed: recipe.seed)
    if let problem = sweep.problem { throw PipelineError.usage(problem) }
    let maker = TrainingSourceMaker(run: run, settings: settings)
    defer { maker.removePixels() }
    let sources = try maker.sources(of: network)
    let plan = try context.compiler.compileSuffix(
      network.graph, partition: network.partition, parameters: network.parameters,
      freezing: network.plan, batch: configuration.batchSize + 1, size: network.size)
    let label = "Sweeping the learning rate"
    context.report(label, runsOn: plan.engineName, because: plan.refusal)
    let progress = context.console.progress(
      label, total: iterations, unit: "steps")
    let result = try LearningRateFinder(sweep, optimizer: configuration.optimizer).search(
      plan, on: sources.train, ratios: LearningRates(rates, for: network.graph),
      loss: manifest.severalLabels
        ? SigmoidCrossEntropy(labelSmoothing: settings.labelSmoothing)
        : SoftmaxCrossEntropy(labelSmoothing: settings.labelSmoothing),
      isCancelled: { context.isInterrupted() }, onStep: { _ in progress.advance() })
    try context.checkInterruption()
    progress.finish()
    try run.write(result, to: run.directory.learningRateSearch)
    return result
  }

  /// The network that is swept, and the rates whose ratios the sweep keeps.
  private func swept(_ target: Target) throws -> (TransferNetwork, [Double]) {
    guard case .fineTuning(let asked) = target else {
      let network = try TransferNetwork(
        run.recipe, classes: run.manifest.classes, context: run.context)
      return (network, [Double](repeating: 1, count: network.graph.groups.count))
    }
    let start = try FineTuneStart(run)
    let phases = start.schedule.phases
    let phase = asked ?? phases.count
    guard phases.indices.contains(phase - 1) else {
      throw PipelineError.usage(
        "there is no phase \(phase): fine-tuning has \(phases.count). Choose 1 to"
          + " \(phases.count).")
    }
    let setting = phases[phase - 1]
    return (
      start.network.during(setting, parameters: start.network.parameters), setting.rates
    )
  }

  /// The search of the run, for the report; nil when there is none.
  static func search(of run: RunDirectory) -> LearningRateSearch? {
    guard let bytes = try? FileSystem.read(run.learningRateSearch, limit: 1 << 24) else {
      return nil
    }
    return try? JSONDecoder().decode(LearningRateSearch.self, from: Data(bytes))
  }
}
