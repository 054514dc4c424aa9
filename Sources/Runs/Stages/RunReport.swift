// SPDX-License-Identifier: Apache-2.0

import Foundation
import ThawCheckpoints
import ThawConsole
import ThawDatasets
import ThawExecution
import ThawFiles
import ThawImages
import ThawInference
import ThawNetwork
import ThawRecipes
import ThawReports
import ThawTraining

/// The content of a run's report.
struct RunReport {
  let run: RunDirectory
  let recipe: Recipe
  let manifest: Manifest
  let model: (record: ModelRecord, parameters: Parameters)
  let training: TrainingRecord
  let network: TransferNetwork
  private let result: RunEvaluation
  private let entries: [MetricsFile.Entry]
  let history: [EpochRecord]
  private let context: StageContext

  init(_ open: OpenRun) throws {
    run = open.directory
    context = open.context
    recipe = open.recipe
    manifest = open.manifest
    try run.require(run.model, from: "thaw train")
    model = try ModelFile.read(run.model)
    training = try TrainingRecord(of: model.record, file: run.model)
    network = try TransferNetwork(
      recipe, trained: model.parameters, classes: manifest.classes, context: context)
    entries = try MetricsFile(run).entries()
    // The mistakes shown are those of the evaluation with the most views.
    let shown = entries.max { ($0.tta, $0.result.split) < ($1.tta, $1.result.split) }
    result = try RunEvaluation(
      open, split: shown.flatMap { Split(rawValue: $0.result.split) },
      tta: shown?.look ?? recipe.evaluate.tta,
      snapshots: shown?.snapshots ?? recipe.evaluate.snapshots)
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
    content.confusion = ConfusionTable(
      classNames: result.classes, counts: evaluation.confusion)
    content.mistakes = mistakes
    content.batchNorm = run.batchNormSection
    content.diagnoses = diagnoses
    content.suspects = suspects
    content.reproduction = reproduction
    return content
  }

  private var verdict: String {
    let confusion = ConfusionTable(
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

  private var evaluationSection: ReportContent.EvaluationSection {
    let split = result.evaluation.split
    var variants = entries.filter { $0.result.split == split }.sorted { $0.tta < $1.tta }.map {
      RunReport.variant($0.result, name: $0.name)
    }
    if variants.isEmpty {
      variants = [RunReport.variant(result.evaluation, name: recipe.evaluate.tta.name)]
    }
    let confusion = ConfusionTable(
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
