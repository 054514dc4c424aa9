// SPDX-License-Identifier: Apache-2.0

import Foundation
import SystemPackage
import ThawCheckpoints
import ThawConsole
package import ThawDatasets
import ThawFiles
import ThawImages
package import ThawInference
import ThawNetwork
package import ThawRecipes
import ThawTensors
package import ThawTraining

/// Judge a model on photos it was not trained on.
package struct EvaluateStage {
  private let context: StageContext

  /// Uses the context's threads and console.
  package init(context: StageContext) { self.context = context }

  /// Judges the model of a run on its own manifest, from cached features.
  ///
  /// Writes `metrics.json` and `predictions.csv`.
  ///
  /// - Parameters:
  ///   - split: nil for the test split if there is one, else the validation split.
  ///   - tta: several looks at each photo; nil for the recipe's.
  ///   - snapshots: averages the models at the ends of the training's cycles; nil for the recipe's.
  /// - Throws: ``PipelineError/notPrepared(_:needs:command:)`` before training.
  package func evaluate(
    _ run: OpenRun, split: Split?, tta: Recipe.TestTime? = nil, snapshots: Bool? = nil
  ) throws -> Evaluation {
    let settings = run.recipe.evaluate
    let (tta, snapshots) = (tta ?? settings.tta, snapshots ?? settings.snapshots)
    let results = try RunEvaluation(run, split: split, tta: tta, snapshots: snapshots)
    var evaluation = results.evaluation
    if evaluation.split == Split.valid.rawValue,
      let model = try run.finishedTraining(run.directory.model), model.isOf(run.manifest)
    {
      // It depends on neither the looks nor the snapshots.
      let known = try? MetricsFile(run.directory).entries().compactMap(\.result.crossValidation)
        .first
      evaluation.crossValidation = try known ?? HeadCrossValidation(run: run).heldOut(by: model)
    }
    try run.verify()
    try AtomicFile.write(run.directory.predictions, text: results.csv)
    let loss = try MetricsFile(run.directory).add(evaluation, tta: tta, snapshots: snapshots)
    if let loss { context.console.warn(loss) }
    return evaluation
  }

  /// Judges a model on photos that it may never have seen.
  ///
  /// Labels are those of class folders, or of a table, and are matched by name: each must be one of the
  /// model's classes.
  ///
  /// - Parameters:
  ///   - split: which split folder, when there are some; nil for all photos, or with split folders
  ///     for the test folder, else the validation folder.
  ///   - renaming: the model's name for a label, where they differ.
  /// - Throws: `DatasetError`; ``PipelineError/data(_:)`` naming classes the model does not know, or when
  ///   one has several labels a photo and the other one.
  package func evaluate(
    _ model: ModelReference, data: LabelledPhotos, split: Split?,
    tta: Recipe.TestTime = Recipe.TestTime(), renaming: [String: String],
    policy: Recipe.Data.BadImagePolicy
  ) throws -> Evaluation {
    let photos = try labelledPhotos(in: data, split: split)
    let names = Set(photos.files.flatMap(\.classNames)).sorted()
    let classifier = try model.labelled(by: names).load(context: context)
    try checkKind(of: classifier, photos.scan, data.folder)
    let tta = try classifier.views(of: tta)
    let truth = Truth(classifier.classNames, renaming, photos.scan)
    let unknown = names.filter { truth.column(of: $0) == nil }
    guard unknown.isEmpty else {
      throw unknownClasses(unknown, data.folder, classifier, renaming: renaming)
    }
    if !truth.unjudged.isEmpty {
      context.console.warn(
        "the table has no column for \(truth.unjudged.map { "'\($0)'" }.joined(separator: ", ")):"
          + " nothing is measured of what the model says about it")
    }
    let progress = context.console.progress("Evaluating", total: photos.files.count)
    let outcomes = try classifier.classify(
      photos.files.map { $0.path.resolved(in: data.folder) }, views: tta.views,
      progress: { progress.update(completed: $0) })
    progress.finish()
    var (logits, judged): ([Tensor<Float>], [ScannedFile]) = ([], [])
    var bad = photos.scan.bad.map(\.description)
    for (file, outcome) in zip(photos.files, outcomes) {
      switch outcome {
      case .unusable(let reason): bad.append("\(file.path): \(reason)")
      case .logits(let ofPhoto):
        logits.append(ofPhoto)
        judged.append(file)
      }
    }
    for line in bad { context.console.warn(line) }
    guard bad.isEmpty || policy == .skip else {
      throw PipelineError.data(
        "\(bad.count) of \(counted(photos.files.count + photos.scan.bad.count, "photo")) cannot be used"
          + " (listed above)."
          + " Use --on-bad-image skip to leave them out.")
    }
    let all = Tensor.transposed(logits, views: classifier.memberCount * tta.views.count)
    let members = all.chunks(of: tta.views.count)
    var evaluation = try Evaluation(
      split: photos.name, classNames: classifier.classNames, members: members, tta: tta,
      labels: truth.labels(of: judged), thresholds: classifier.thresholds,
      calibration: classifier.calibration)
    let order = ClassOrderRemarks(
      evaluation, assumed: classifier.model.record.notes[StoredModel.assumedOrder])
    evaluation.remarks = [order.assumption].compactMap(\.self) + order.findings
    for finding in order.findings { context.console.warn(finding) }
    return evaluation
  }

  /// A model of one label a photo cannot be judged by several, nor the other way round.
  private func checkKind(
    of classifier: Classifier, _ scan: FolderScan, _ data: FilePath
  ) throws(PipelineError) {
    let isSeveral = classifier.outputActivation.allowsSeveralLabels
    guard isSeveral != scan.severalLabels else { return }
    throw .data(
      isSeveral
        ? "\(classifier.source) gives several labels a photo, \(data.displayed) has one. Give a table of"
          + " all of a photo's labels with --labels; one that happens to have one a photo with"
          + " --several-labels yes."
        : "\(classifier.source) gives one label a photo, the table several. If each photo has exactly one,"
          + " say --several-labels no; else give labels of one a photo, or"
          + " train a model of several with: thaw fit \(data.quoted) --labels TABLE")
  }

  private func labelledPhotos(
    in data: LabelledPhotos, split: Split?
  ) throws -> (files: [ScannedFile], name: String, scan: FolderScan) {
    let scan = try data.scan(context.console)
    let present = Set(scan.files.compactMap(\.split))
    guard !present.isEmpty else {
      if let split { throw noSuchSplit(split, data.folder) }
      return (scan.files, "all", scan)
    }
    let chosen = split ?? [.test, .valid, .train].first(where: present.contains) ?? .valid
    guard present.contains(chosen) else { throw noSuchSplit(chosen, data.folder) }
    return (scan.files.filter { $0.split == chosen }, chosen.rawValue, scan)
  }

  private func noSuchSplit(_ split: Split, _ data: FilePath) -> PipelineError {
    .data("\(data.displayed): has no '\(split.rawValue)' photos. Leave --split out, or add some.")
  }

  private func unknownClasses(
    _ unknown: [String], _ data: FilePath, _ classifier: Classifier, renaming: [String: String]
  ) -> PipelineError {
    let known = classifier.classNames
    let shown = known.prefix(10).joined(separator: ", ") + (known.count > 10 ? ", …" : "")
    if let name = unknown.first(where: { renaming[$0] != nil }), let wanted = renaming[name] {
      return .data(
        "--rename \(name)=\(wanted): the model \(classifier.source) has no '\(wanted)'. It knows \(shown)."
      )
    }
    return .data(
      "\(data.displayed): the model \(classifier.source) does not know"
        + " \(unknown.map { "'\($0)'" }.joined(separator: ", ")). It knows \(shown)."
        + " Rename the folders or labels, or pass --rename NAME=CLASS.")
  }
}

/// What labels by name are among a model's outputs.
private struct Truth {
  private let indices: [String: Int]
  private let renaming: [String: String]
  private let isSeveral: Bool
  /// The model's classes for which a table of columns has none, so that nobody knows.
  let unjudged: [String]

  init(_ classNames: [String], _ renaming: [String: String], _ scan: FolderScan) {
    indices = Dictionary(uniqueKeysWithValues: classNames.enumerated().map { ($1, $0) })
    self.renaming = renaming
    isSeveral = scan.severalLabels
    let columns = scan.columnClasses.map { Set($0.map { renaming[$0] ?? $0 }) }
    unjudged = columns.map { columns in classNames.filter { !columns.contains($0) } } ?? []
  }

  func column(of name: String) -> Int? { indices[renaming[name] ?? name] }

  func labels(of files: [ScannedFile]) -> SampleLabels {
    guard isSeveral else { return .single(files.map { column(of: $0.className) ?? 0 }) }
    let sets = files.map { file in
      LabelSet(
        present: file.classNames.map { renaming[$0] ?? $0 },
        unknown: (file.labels?.unknown ?? []).map { renaming[$0] ?? $0 } + unjudged)
    }
    return .several(TargetRows(sets, classes: indices))
  }
}
