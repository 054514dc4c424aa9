// SPDX-License-Identifier: Apache-2.0

import Foundation
import ThawCheckpoints
import ThawConsole
import ThawDatasets
import ThawDiagnosis
import ThawExecution
import ThawFiles
import ThawImages
import ThawInference
import ThawNetwork
import ThawRecipes
import ThawReports
import ThawTraining

extension RunDirectory {
  /// What the course of the last training says would make it better; nil when nothing stands out.
  package var advice: String? {
    get throws { try hints.first?.message }
  }

  /// Everything that it says, the gravest first.
  var hints: [FitHint] {
    get throws {
      let record = FileSystem.exists(model) ? try TrainingRecord.read(model) : nil
      return FitDiagnosis.hints(
        try RunReport.history(self), isHeadAlone: record?.isHeadAlone ?? false)
    }
  }
}

/// Collects what a run has for its report; nothing is computed but the answers for the photos that
/// are shown.
struct RunReport {
  let open: OpenRun
  let record: TrainingRecord
  let network: TransferNetwork
  let result: RunEvaluation
  /// The looks that ``result`` was made by, and whether snapshots were averaged.
  let look: (views: Recipe.TestTime, snapshots: Bool)
  let model: ModelRecord
  private let entries: [MetricsFile.Entry]
  private let shownCosts: CostResult?

  var run: RunDirectory { open.directory }
  var recipe: Recipe { open.recipe }
  var manifest: Manifest { open.manifest }

  init(_ open: OpenRun) throws {
    self.open = open
    let (run, recipe) = (open.directory, open.recipe)
    try run.require(run.model, from: "thaw train")
    let parameters: Parameters
    (model, parameters) = try ModelFile.read(run.model)
    try open.requireContract(of: model, in: run.model)
    record = try TrainingRecord(of: model, file: run.model)
    network = try TransferNetwork(
      recipe, trained: parameters, classes: open.manifest.classes, context: open.context)
    entries = try MetricsFile(run).entries()
    // Photos that nothing was chosen by come first, then the evaluation with the most views.
    let shown = entries.max { ($0.trust, $0.tta) < ($1.trust, $1.tta) }
    shownCosts = shown?.result.costs
    look = (shown?.look ?? recipe.evaluate.tta, shown?.snapshots ?? recipe.evaluate.snapshots)
    result = try RunEvaluation(
      open, split: shown.flatMap { Split(rawValue: $0.result.split) }, tta: look.views,
      snapshots: look.snapshots)
  }

  /// Everything, read from the run's files.
  ///
  /// - Throws: ``PipelineError/data(_:)`` when the history is damaged.
  func content() throws -> ReportContent {
    var content = ReportContent(title: recipe.name)
    content.manifest = manifest
    content.photosPage =
      FileSystem.exists(run.photosPage) ? run.photosPage.lastComponent?.string : nil
    content.network = ReportedNetwork(
      card: network.card, preprocessing: network.preprocessing, graph: network.graph,
      freezing: model.freezing, recipe: recipe, record: record, schedule: schedule)
    content.history = try RunReport.history(run)
    content.search = FindLearningRateStage.search(of: run)
    var evaluation = result.evaluation
    if evaluation.split == Split.valid.rawValue, record.isOf(open.manifest) {
      evaluation.crossValidation = entries.compactMap(\.result.crossValidation).first
    }
    // Nobody computes them anew: the table of costs is not the run's.
    evaluation.costs = shownCosts
    content.evaluation = evaluation
    content.looks = looks
    content.comparison = try comparison()
    content.earlier = try earlier()
    if !recipe.data.unlabelled.isEmpty {
      content.unlabelled =
        try record.isHeadAlone
        ? record.unlabelled : TrainingRecord.read(run.headModel)?.unlabelled
    }
    let answers = answers
    content.mistakes = answers.mistakes.map(\.shown)
    content.evidence = try evidence(for: answers.mistakes)
    content.unsure = answers.unsure.map(\.shown)
    content.sure = answers.sure.map(\.shown)
    content.batchNorm = diagnosis("batchnorm", limit: 1 << 24)
    content.preprocessing = diagnosis("preprocessing", limit: 1 << 26)
    content.fit = diagnosis("fit", limit: 1 << 26)
    content.crossValidation = crossValidation
    content.map = try map()
    // Of the model and the photos of now alone.
    let errors: ErrorAnalysis? = diagnosis("errors", limit: 1 << 24)
    content.errors = errors?.key == record.key && record.isOf(manifest) ? errors : nil
    let shortcuts: ShortcutDiagnosis? = diagnosis("shortcuts", limit: 1 << 24)
    content.shortcuts =
      shortcuts?.key == record.key && record.isOf(manifest) ? shortcuts : nil
    let suspects = Set(content.fit?.labels.filter(\.isSuspicious).map(\.path) ?? [])
    let ambiguous = Set(content.errors?.mostAmbiguous.map(\.path) ?? [])
    content.thumbnails = thumbnails(
      answers.all.map(\.record)
        + manifest.records.filter {
          suspects.contains("\($0.path)") || ambiguous.contains("\($0.path)")
        })
    if content.network?.isAugmented == true {
      content.augmented = augmented(content.network?.keptSettings ?? recipe.train)
    }
    content.usage = .init(model: BytePath(run.model).bytes)
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

  /// Small JPEGs by path; photos that cannot be read any more are left out.
  private func thumbnails(_ records: [Manifest.Record]) -> [String: [UInt8]] {
    var thumbnails: [String: [UInt8]] = [:]
    for record in records where thumbnails[record.path.description] == nil {
      let path = record.path.resolved(in: manifest.root.filePath)
      guard let bytes = try? PhotoFiles.read(path, limit: 1 << 28) else { continue }
      thumbnails[record.path.description] = try? Thumbnail.jpeg(of: bytes, longerSide: 160)
    }
    return thumbnails
  }

  /// The last cross-validation, unless the photos or the settings of its heads have changed since.
  private var crossValidation: CrossValidationResult? {
    guard let bytes = try? FileSystem.read(run.crossValidation, limit: 1 << 24) else { return nil }
    let decoder = JSONDecoder()
    decoder.keyDecodingStrategy = .convertFromSnakeCase
    let result = try? decoder.decode(CrossValidationResult.self, from: Data(bytes))
    return result?.key == manifest.crossValidationKey(recipe) ? result : nil
  }

  /// The last result of a diagnosis; nil when there is none, or one of another version.
  func diagnosis<Result: Decodable>(_ kind: String, limit: Int) -> Result? {
    guard let bytes = try? FileSystem.read(run.diagnosis(kind), limit: limit) else { return nil }
    let decoder = JSONDecoder()
    decoder.keyDecodingStrategy = .convertFromSnakeCase
    return try? decoder.decode(Result.self, from: Data(bytes))
  }
}

extension MetricsFile.Entry {
  /// How much its photos say about new ones: most when nothing was chosen by them.
  fileprivate var trust: Int {
    switch Split(rawValue: result.split) {
    case .test: 2
    case .valid: 1
    case .train, nil: 0
    }
  }
}
