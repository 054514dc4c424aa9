// SPDX-License-Identifier: Apache-2.0

import Checkpoints
import Datasets
import Execution
import Files
import Foundation
import Images
import Network
import Reports
import Training

/// The content of a run's report.
struct RunReport {
  let run: RunDirectory
  private let recipe: Recipe
  let manifest: Manifest
  private let model: (record: ModelRecord, parameters: Parameters)
  private let training: TrainingRecord
  private let network: TransferNetwork
  private let result: RunEvaluation
  private let entries: [MetricsFile.Entry]
  private let history: [EpochRecord]
  private let context: StageContext

  init(_ run: RunDirectory, context: StageContext) throws {
    self.run = run
    self.context = context
    recipe = try run.loadRecipe()
    manifest = try run.loadManifest()
    try run.require(run.model, from: "thaw train")
    model = try ModelFile.read(run.model)
    training = try TrainingRecord(json: model.record.training)
    network = try TransferNetwork(
      recipe, trained: model.parameters, classes: manifest.classes, context: context)
    entries = try MetricsFile(run).entries()
    // The mistakes shown are those of the evaluation with the most views.
    let shown = entries.max { ($0.tta, $0.result.split) < ($1.tta, $1.result.split) }
    result = try RunEvaluation(
      run, split: shown.flatMap { Split(rawValue: $0.result.split) },
      tta: shown?.look ?? recipe.evaluate.tta,
      snapshots: shown?.snapshots ?? recipe.evaluate.snapshots, context: context)
    history = try RunReport.history(run)
  }

  static func history(_ run: RunDirectory) throws -> [EpochRecord] {
    guard FileSystem.exists(run.history) else { return [] }
    let lines = String(decoding: try FileSystem.read(run.history), as: UTF8.self)
    return try lines.split(separator: "\n").enumerated().map { index, line in
      guard let record = try? JSONDecoder().decode(EpochRecord.self, from: Data(line.utf8)) else {
        throw PipelineError.data(
          "\(run.history.displayed):\(index + 1): damaged. Delete the file to get the report"
            + " without training curves.")
      }
      return record
    }
  }

  var content: ReportContent {
    var content = ReportContent(title: recipe.name, subtitle: manifest.root.description)
    let evaluation = result.evaluation
    content.headline = .init(
      correct: evaluation.correct, count: evaluation.count,
      what: "held-out \(evaluation.split) photos", verdict: verdict,
      interval: evaluation.accuracyInterval)
    content.warnings = manifest.warnings
    content.data = data
    content.model = modelSection
    content.freezePlan = freezePlan
    content.augmentation = augmentation
    content.training = curves
    content.learningRate = learningRate
    content.learningRateFinder = finder
    content.evaluation = evaluationSection
    content.confusion = Reports.ConfusionMatrix(
      classNames: result.classes, counts: evaluation.confusion)
    content.mistakes = mistakes
    content.batchNorm = run.batchNormSection
    content.diagnoses = diagnoses
    content.suspects = suspects
    content.reproduction = reproduction
    return content
  }

  private var verdict: String {
    let confusion = Reports.ConfusionMatrix(
      classNames: result.classes, counts: result.evaluation.confusion)
    guard let worst = confusion.confusions(limit: 1).first else { return "No mistakes." }
    return "Most often '\(result.classes[worst.truth])' was taken for"
      + " '\(result.classes[worst.predicted])' (\(worst.count) photos)."
  }

  private var data: ReportContent.DataSection {
    let splits = Split.allCases.filter { !manifest.records(in: $0).isEmpty }
    let counts = splits.map(manifest.counts)
    return .init(
      root: manifest.root.description, splits: splits.map(\.rawValue),
      classes: manifest.classes.indices.map { index in
        .init(manifest.classes[index], counts.map { $0[index] })
      },
      badFiles: manifest.bad.map { .init(path: $0.path.description, reason: $0.reason) },
      duplicates: manifest.duplicates.map { group in
        .init(
          paths: group.paths.map(\.description), isLeak: group.kinds.contains(.acrossSplits),
          note: group.kinds.contains(.acrossClasses) ? "labels contradict each other" : "")
      })
  }

  private var modelSection: ReportContent.ModelSection {
    let count = network.graph.parameters.filter(\.role.isTrainable).reduce(0) {
      $0 + $1.shape.count
    }
    let card = network.card
    return .init(
      name: card.name, parameters: count,
      trainableParameters: training.outcome.trainableParameters, licence: card.license,
      source: card.source.displayed, preprocessing: network.preprocessing.description,
      details: [("Summary", card.summary), ("Weights' hash", "\(card.checksum)")] + keptWeights)
  }

  /// Which weights fine-tuning left, when they are not simply those of its best epoch.
  private var keptWeights: [(String, String)] {
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
  private var isFineTuned: Bool { !training.isHeadAlone }

  /// The settings of the training that made the model.
  private var settings: Recipe.Train { isFineTuned ? recipe.fineTune.train : recipe.train }

  private var augmentation: ReportContent.AugmentationSection {
    let augmentation = settings.augmentation
    guard augmentation.isActive, settings.solver != .lbfgs else {
      return .init(
        isActive: false,
        statement: "No augmentation: training used one view a photo (the centre crop), from the"
          + " feature cache. Augmented photos would not reach it through the cache.")
    }
    let statement =
      switch settings.views {
      case .cached(let count):
        "Each training photo was seen in \(count) augmented views, computed once; epochs took turns"
          + " with them. Validation photos were not augmented."
      case .fresh:
        "Each training photo was drawn anew in every epoch and computed through the frozen layers;"
          + " nothing of it was cached. Validation photos were not augmented."
      }
    return .init(
      isActive: true, statement: statement,
      operations: augmentation.operations.map { ($0.name, $0.range) })
  }

  private var freezePlan: ReportContent.FreezePlanSection {
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

  private var curves: ReportContent.TrainingSection? {
    guard !history.isEmpty else { return nil }
    let best = history.min { ($0.validLoss ?? .infinity) < ($1.validLoss ?? .infinity) }
    return .init(
      trainLoss: history.map(\.trainLoss), validLoss: history.compactMap(\.validLoss),
      trainAccuracy: history.map(\.trainAccuracy),
      validAccuracy: history.compactMap(\.validAccuracy),
      bestEpoch: best?.validLoss == nil ? nil : best.map { $0.epoch + 1 },
      note: history.count < FreezeSchedule(phases).epochs
        ? "Stopped early: the validation loss had not improved for \(settings.patience) epochs."
        : nil)
  }

  private var learningRate: ReportContent.LearningRateSection? {
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

  private var finder: ReportContent.LearningRateFinderSection? {
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

  private var evaluationSection: ReportContent.EvaluationSection {
    let split = result.evaluation.split
    var variants = entries.filter { $0.result.split == split }.sorted { $0.tta < $1.tta }.map {
      RunReport.variant($0.result, name: $0.name)
    }
    if variants.isEmpty {
      variants = [RunReport.variant(result.evaluation, name: recipe.evaluate.tta.name)]
    }
    let confusion = Reports.ConfusionMatrix(
      classNames: result.classes, counts: result.evaluation.confusion)
    return .init(split: split, variants: variants, classes: confusion.classMetrics)
  }

  private static func variant(
    _ result: Evaluation, name: String
  ) -> ReportContent.EvaluationSection.Variant {
    .init(
      name: name, count: result.count,
      accuracy: result.accuracy, accuracyInterval: result.accuracyInterval, loss: result.loss,
      macroF1: result.macroF1, auc: result.auc)
  }

  /// The most confident mistakes, worst first.
  private var mistakes: [ReportContent.Mistake] {
    let predictions = result.predictions
    let wrong = predictions.indices.filter { predictions[$0] != result.labels[$0] }.sorted {
      (result.probability($1, predictions[$1]), $0) < (result.probability($0, predictions[$0]), $1)
    }
    return wrong.prefix(24).map { row in
      ReportContent.Mistake(
        path: result.records[row].path.description, predicted: result.classes[predictions[row]],
        truth: result.classes[result.labels[row]],
        probability: Double(result.probability(row, predictions[row])),
        truthProbability: Double(result.probability(row, result.labels[row])),
        thumbnail: thumbnail(result.records[row]))
    }
  }

  /// A small JPEG of the photo, empty when it cannot be read any more.
  func thumbnail(_ record: Manifest.Record) -> [UInt8] {
    let path = record.path.resolved(in: manifest.root.filePath)
    guard let bytes = try? FileSystem.read(path, limit: 1 << 28) else { return [] }
    return (try? Thumbnail.jpeg(of: bytes, longerSide: 160)) ?? []
  }

  private var trainingTime: [(String, String)] {
    TrainingTime(in: run, key: training.key).map {
      [("Training time", Format.duration(seconds: $0.seconds))]
    } ?? []
  }

  private var reproduction: ReportContent.ReproductionSection {
    .init(
      command: "thaw fit \(manifest.root) --run \(run.path.displayed)"
        + " --recipe \(run.recipe.displayed)"
        + (isFineTuned ? " && thaw fine-tune --run \(run.path.displayed)" : ""),
      facts: [
        ("Thaw", training.recipe.isEmpty ? "" : model.record.thawVersion),
        ("Seed", "\(recipe.seed)"), ("Threads", "\(context.threads)"),
        ("Engine", context.compiler.inferenceEngine.name),
      ] + trainingTime)
  }
}
