// SPDX-License-Identifier: Apache-2.0

import Foundation
package import SystemPackage
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
      let model = try run.finishedTraining(run.directory.model)
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

  /// Judges a model on a folder of photos, one sub-folder per class.
  ///
  /// Labels are matched by name: every class folder must be one of the model's classes.
  ///
  /// - Parameters:
  ///   - split: which split folder, when there are some; nil for all photos, or with split folders
  ///     for the test folder, else the validation folder.
  ///   - renaming: the model's name for a folder's, where they differ.
  /// - Throws: `DatasetError`; ``PipelineError/data(_:)`` naming classes the model does not know.
  package func evaluate(
    _ model: ModelReference, data: FilePath, split: Split?,
    tta: Recipe.TestTime = Recipe.TestTime(), renaming: [String: String],
    policy: Recipe.Data.BadImagePolicy
  ) throws -> Evaluation {
    let photos = try labelledPhotos(in: data, split: split)
    let classifier = try model.labelled(by: photos.files.map(\.className)).load(context: context)
    let tta = try classifier.views(of: tta)
    var indices: [String: Int] = [:]
    for (index, name) in classifier.classNames.enumerated() { indices[name] = index }
    let names = Set(photos.files.map(\.className)).sorted()
    let unknown = names.filter { indices[renaming[$0] ?? $0] == nil }
    guard unknown.isEmpty else { throw unknownClasses(unknown, data, classifier) }
    let progress = context.console.progress("Evaluating", total: photos.files.count)
    let outcomes = try classifier.classify(
      photos.files.map { $0.path.resolved(in: data) }, views: tta.views
    ) { progress.update(completed: $0) }
    progress.finish()
    var (logits, labels, bad): ([Tensor<Float>], [Int], [String]) = ([], [], [])
    for (file, outcome) in zip(photos.files, outcomes) {
      switch outcome {
      case .unusable(let reason): bad.append("\(file.path): \(reason)")
      case .logits(let ofPhoto):
        logits.append(ofPhoto)
        labels.append(indices[renaming[file.className] ?? file.className] ?? 0)
      }
    }
    for line in bad { context.console.warn(line) }
    guard bad.isEmpty || policy == .skip else {
      throw PipelineError.data(
        "\(bad.count) of \(counted(photos.files.count, "photo")) cannot be used (listed above)."
          + " Use --on-bad-image skip to leave them out.")
    }
    let all = Tensor.transposed(logits, views: classifier.memberCount * tta.views.count)
    let members = all.chunks(of: tta.views.count)
    return try Evaluation(
      split: photos.name, classNames: classifier.classNames, members: members, tta: tta,
      labels: labels)
  }

  private func labelledPhotos(
    in data: FilePath, split: Split?
  ) throws -> (files: [ScannedFile], name: String) {
    var options = FolderScanner.Options()
    options.requiresTraining = false
    options.requiresAllClasses = false
    let scan = try FolderScanner.scan(data, options: options)
    for note in scan.notes { context.console.warn(note.description) }
    let present = Set(scan.files.compactMap(\.split))
    guard !present.isEmpty else {
      if let split { throw noSuchSplit(split, data) }
      return (scan.files, "all")
    }
    let chosen = split ?? [.test, .valid, .train].first(where: present.contains) ?? .valid
    guard present.contains(chosen) else { throw noSuchSplit(chosen, data) }
    return (scan.files.filter { $0.split == chosen }, chosen.rawValue)
  }

  private func noSuchSplit(_ split: Split, _ data: FilePath) -> PipelineError {
    .data("\(data.displayed): has no '\(split.rawValue)' folder. Leave --split out, or add one.")
  }

  private func unknownClasses(
    _ unknown: [String], _ data: FilePath, _ classifier: Classifier
  ) -> PipelineError {
    let known = classifier.classNames
    let shown = known.prefix(10).joined(separator: ", ") + (known.count > 10 ? ", …" : "")
    return .data(
      "\(data.displayed): the model \(classifier.source) does not know"
        + " \(unknown.map { "'\($0)'" }.joined(separator: ", ")). It knows \(shown)."
        + " Rename the folders, or pass --rename FOLDER=CLASS.")
  }
}
