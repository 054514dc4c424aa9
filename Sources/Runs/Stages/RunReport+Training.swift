// SPDX-License-Identifier: Apache-2.0

import ThawConsole
import ThawDiagnosis
import ThawExecution
import ThawNetwork
import ThawRecipes
import ThawReports
import ThawTraining

/// What trained, how it went and what was kept.
extension RunReport {
  /// Which weights fine-tuning left, when they are not simply those of its best epoch.
  var keptWeights: [(String, String)] {
    switch training.outcome.interpolation {
    case nil, 1?: []
    case 0?: [("Kept", "the head's model: fine-tuning did not lower the validation loss")]
    case let share?:
      [
        (
          "Kept",
          "weights \(Format.percent(share, decimals: 0)) of the way from the head's model to the"
            + " fine-tuned one, where the validation loss is lowest"
        )
      ]
    }
  }

  /// Whether the backbone was thawed after the head.
  var isFineTuned: Bool { !training.isHeadAlone }

  /// The settings of the training that made the model.
  var settings: Recipe.Train { isFineTuned ? recipe.fineTune.train : recipe.train }

  var freezePlan: ReportContent.FreezePlanSection {
    let plan = model.record.freezing
    let rows = network.graph.groups.enumerated().map { index, group in
      let nodes = network.graph.nodes.filter { $0.group == index }
      let parameters = nodes.flatMap(\.parameters).filter(\.role.isTrainable)
      let norm = nodes.first { if case .batchNormalization = $0.operation { true } else { false } }
      return ReportContent.FreezePlanSection.Row(
        group: group.name, parameters: parameters.reduce(0) { $0 + $1.shape.count },
        isTrainable: plan.trains(group: index),
        batchNorm: norm.map { plan.batchNormMode(of: $0).rawValue },
        learningRate: plan.trains(group: index) && settings.solver != .lbfgs ? rates[index] : nil)
    }
    let partition = Partition(network.graph, freezing: plan)
    let cut = network.graph[partition.cut].path
    return .init(
      rows: rows,
      note: partition.prefix.isEmpty
        ? "Nothing is frozen in front of what trains: every epoch began with the photos themselves."
        : "The frozen groups are compiled as for inference, up to '\(cut)'; the same code predicts."
    )
  }

  /// What trained when; nil for a solver without epochs.
  private var phases: [FreezePhase] {
    let size = network.preprocessing.inputSize
    let schedule =
      isFineTuned
      ? try? recipe.fineTune.schedule(
        of: network.graph, size: size, headAccuracy: run.headAccuracy)
      : try? recipe.train.schedule(ofHead: network.graph, size: size)
    return schedule?.phases ?? []
  }

  /// The largest learning rate of each layer group in the last phase.
  private var rates: [Double] {
    phases.last?.rates
      ?? [Double](repeating: recipe.train.rate, count: network.graph.groups.count)
  }

  var curves: ReportContent.TrainingSection? {
    guard !history.isEmpty else { return nil }
    let best = history.min { ($0.validLoss ?? .infinity) < ($1.validLoss ?? .infinity) }
    return .init(
      trainLoss: history.map(\.trainLoss), validLoss: history.compactMap(\.validLoss),
      trainAccuracy: history.map(\.trainAccuracy),
      validAccuracy: history.compactMap(\.validAccuracy),
      bestEpoch: best?.validLoss == nil ? nil : best.map { $0.epoch + 1 },
      note: trainingNotes.isEmpty ? nil : trainingNotes.joined(separator: " "))
  }

  /// How the training ended, and what its losses say.
  private var trainingNotes: [String] {
    let stop =
      history.count < FreezeSchedule(phases).epochs
      ? ["Stopped early: the validation loss had not improved for \(settings.patience) epochs."]
      : []
    return stop
      + FitDiagnosis.hints(history).filter { $0.kind == .overfitting }.map(\.message)
  }

  var learningRate: ReportContent.LearningRateSection? {
    guard !history.isEmpty else { return nil }
    let samples = manifest.records(in: .train).count
    let configuration = settings.configuration(
      samples: samples, hasValidation: false, seed: recipe.seed)
    let steps = BatchOrder(
      count: samples, batchSize: configuration.stepSize, seed: configuration.seed
    ).batches.count
    let schedule = FreezeSchedule(phases)
    let lines = network.graph.groups.indices.map { group in
      schedule.phases.enumerated().flatMap { index, phase in
        let epochs = schedule.epochs(ofPhase: index)
        let trained = history.count { epochs.contains($0.epoch) }
        let curve = (phase.schedule ?? configuration.schedule).curve(
          stepsPerEpoch: steps, epochs: phase.epochs)
        let rate = phase.plan.trains(group: group) ? phase.rates[group] : 0
        return (0..<steps * trained).map { curve($0).factor * rate }
      }
    }
    return .init(
      groups: zip(network.graph.groups.map(\.name), lines).filter { $1.contains { $0 > 0 } },
      schedule: settings.schedule.kind.rawValue)
  }

  var finder: ReportContent.LearningRateFinderSection? {
    guard let search = FindLearningRateStage.search(of: run) else { return nil }
    let named = [
      ("valley", search.suggestions.valley), ("slide", search.suggestions.slide),
      ("minimum", search.suggestions.minimum), ("steep", search.suggestions.steep),
    ]
    return .init(
      rates: search.rates, losses: search.losses, smoothedLosses: search.smoothed,
      suggestions: named.compactMap { name, rate in rate.map { (name, $0) } },
      chosen: recipe.train.solver == .lbfgs ? nil : recipe.train.rate)
  }

  var trainingTime: [(String, String)] {
    TrainingTime(in: run, key: training.key).map {
      [("Training time", Format.duration(seconds: $0.seconds))]
    } ?? []
  }
}
