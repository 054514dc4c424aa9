// SPDX-License-Identifier: Apache-2.0

import Foundation
import ThawCheckpoints
import ThawConsole
import ThawDatasets
import ThawDiagnosis
import ThawExecution
import ThawFiles
import ThawInference
import ThawNetwork
import ThawRecipes
import ThawReports
import ThawTraining

extension RunDirectory {
  /// What the course of the last training says would make it better; nil when nothing stands out.
  package var advice: String? {
    get throws { try FitDiagnosis.hints(RunReport.history(self)).first?.message }
  }
}

/// Collects what a run has for its report; nothing is computed but the answers for the photos that
/// are shown.
struct RunReport {
  private let run: RunDirectory
  private let context: StageContext
  private let recipe: Recipe
  private let manifest: Manifest
  private let model: ModelRecord
  private let record: TrainingRecord
  private let network: TransferNetwork
  private let entries: [MetricsFile.Entry]
  private let result: RunEvaluation

  init(_ open: OpenRun) throws {
    run = open.directory
    context = open.context
    recipe = open.recipe
    manifest = open.manifest
    try run.require(run.model, from: "thaw train")
    let parameters: Parameters
    (model, parameters) = try ModelFile.read(run.model)
    record = try TrainingRecord(of: model, file: run.model)
    network = try TransferNetwork(
      recipe, trained: parameters, classes: manifest.classes, context: context)
    entries = try MetricsFile(run).entries()
    // The mistakes shown are those of the evaluation with the most views.
    let shown = entries.max { ($0.tta, $0.result.split) < ($1.tta, $1.result.split) }
    result = try RunEvaluation(
      open, split: shown.flatMap { Split(rawValue: $0.result.split) },
      tta: shown?.look ?? recipe.evaluate.tta,
      snapshots: shown?.snapshots ?? recipe.evaluate.snapshots)
  }

  /// Everything, read from the run's files.
  ///
  /// - Throws: ``PipelineError/data(_:)`` when the history is damaged.
  func content() throws -> ReportContent {
    var content = ReportContent(title: recipe.name)
    content.manifest = manifest
    content.network = ReportedNetwork(
      card: network.card, preprocessing: network.preprocessing, graph: network.graph,
      freezing: model.freezing, recipe: recipe, record: record, schedule: schedule)
    content.history = try RunReport.history(run)
    content.search = FindLearningRateStage.search(of: run)
    content.evaluation = result.evaluation
    content.looks = looks
    let mistakes = mistakes
    content.mistakes = mistakes.map(\.shown)
    content.batchNorm = diagnosis("batchnorm", limit: 1 << 24)
    content.preprocessing = diagnosis("preprocessing", limit: 1 << 26)
    content.fit = diagnosis("fit", limit: 1 << 26)
    let suspects = Set(content.fit?.labels.filter(\.isSuspicious).map(\.path) ?? [])
    content.thumbnails = thumbnails(
      mistakes.map(\.record) + manifest.records.filter { suspects.contains("\($0.path)") })
    content.reproduction = reproduction
    return content
  }

  /// The epochs of a run's training; none for a solver without.
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

  /// What trained when; without phases for a recipe that does not fit the network any more.
  private var schedule: FreezeSchedule {
    let size = network.preprocessing.inputSize
    let schedule =
      record.isHeadAlone
      ? try? recipe.train.schedule(ofHead: network.graph, size: size)
      : try? recipe.fineTune.schedule(
        of: network.graph, size: size, headAccuracy: run.headAccuracy)
    return schedule ?? FreezeSchedule([])
  }

  /// The evaluations of the split that is shown, the fewest views first.
  private var looks: [ReportContent.Look] {
    let split = result.evaluation.split
    let looks = entries.filter { $0.result.split == split }.sorted { $0.tta < $1.tta }.map {
      ReportContent.Look(name: $0.name, evaluation: $0.result)
    }
    return looks.isEmpty
      ? [.init(name: recipe.evaluate.tta.name, evaluation: result.evaluation)] : looks
  }

  /// The most confident mistakes, worst first.
  private var mistakes: [(shown: ReportContent.Mistake, record: Manifest.Record)] {
    let predictions = result.predictions
    let wrong = predictions.indices.filter { predictions[$0] != result.labels[$0] }.sorted {
      (result.probability($1, predictions[$1]), $0) < (result.probability($0, predictions[$0]), $1)
    }
    return wrong.prefix(24).map { row in
      let (predicted, truth) = (predictions[row], result.labels[row])
      let shown = ReportContent.Mistake(
        path: result.records[row].path.description, predicted: result.classes[predicted],
        truth: result.classes[truth], probability: Double(result.probability(row, predicted)),
        truthProbability: Double(result.probability(row, truth)))
      return (shown, result.records[row])
    }
  }

  /// Small JPEGs by path; photos that cannot be read any more are left out.
  private func thumbnails(_ records: [Manifest.Record]) -> [String: [UInt8]] {
    var thumbnails: [String: [UInt8]] = [:]
    for record in records where thumbnails[record.path.description] == nil {
      let path = record.path.resolved(in: manifest.root.filePath)
      guard let bytes = try? FileSystem.read(path, limit: 1 << 28) else { continue }
      thumbnails[record.path.description] = try? Thumbnail.jpeg(of: bytes, longerSide: 160)
    }
    return thumbnails
  }

  /// The last result of a diagnosis; nil when there is none, or one of another version.
  private func diagnosis<Result: Decodable>(_ kind: String, limit: Int) -> Result? {
    guard let bytes = try? FileSystem.read(run.diagnosis(kind), limit: limit) else { return nil }
    let decoder = JSONDecoder()
    decoder.keyDecodingStrategy = .convertFromSnakeCase
    return try? decoder.decode(Result.self, from: Data(bytes))
  }

  private var reproduction: ReportContent.Reproduction {
    let time = TrainingTime(in: run, key: record.key).map {
      [("Training time", Format.duration(seconds: $0.seconds))]
    }
    return .init(
      command: "thaw fit \(manifest.root) --run \(run.path.displayed)"
        + " --recipe \(run.recipe.displayed)"
        + (record.isHeadAlone ? "" : " && thaw fine-tune --run \(run.path.displayed)"),
      facts: [
        ("Thaw", record.recipe.isEmpty ? "" : model.thawVersion), ("Seed", "\(recipe.seed)"),
        ("Threads", "\(context.threads)"), ("Engine", context.compiler.inferenceEngine.name),
      ] + (time ?? []))
  }
}
