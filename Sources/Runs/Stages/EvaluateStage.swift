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
package import ThawRanks
package import ThawRecipes
import ThawTensors
package import ThawTraining

/// Judge a model on photos it was not trained on.
package struct EvaluateStage {
  private let context: StageContext

  /// Uses the context's threads and console.
  package init(context: StageContext) { self.context = context }

  /// What is asked besides the numbers of the most probable class.
  package struct Decisions: Sendable {
    /// Thresholds, or what they are chosen for.
    package var thresholds: ThresholdRequest
    /// Whether the thresholds become the model's.
    package var stores: Bool
    /// A table of what answers cost; nil for none.
    package var costs: FilePath?

    package init(
      thresholds: ThresholdRequest = ThresholdRequest(), stores: Bool = false,
      costs: FilePath? = nil
    ) {
      (self.thresholds, self.stores, self.costs) = (thresholds, stores, costs)
    }
  }

  /// Judges the model of a run on its own manifest, from cached features.
  ///
  /// Writes `metrics.json` and `predictions.csv`.
  ///
  /// - Parameters:
  ///   - split: nil for the test split if there is one, else the validation split.
  ///   - tta: several looks at each photo; nil for the recipe's.
  ///   - snapshots: averages the models at the ends of the training's cycles; nil for the recipe's.
  ///   - decisions: thresholds are chosen by the validation photos, whatever split is judged.
  /// - Throws: ``PipelineError/notPrepared(_:needs:command:)`` before training.
  package func evaluate(
    _ run: OpenRun, split: Split?, tta: Recipe.TestTime? = nil, snapshots: Bool? = nil,
    decisions: Decisions = Decisions()
  ) throws -> Evaluation {
    let settings = run.recipe.evaluate
    let (tta, snapshots) = (tta ?? settings.tta, snapshots ?? settings.snapshots)
    let costs = try decisions.matrix(run.manifest.classes, isSeveral: run.manifest.severalLabels)
    var results = try RunEvaluation(run, split: split, tta: tta, snapshots: snapshots)
    if !decisions.thresholds.isEmpty {
      let thresholds = try chosen(decisions.thresholds, results, run, tta, snapshots)
      results = try results.with(thresholds)
      if decisions.stores { try store(thresholds, in: run.directory.model) }
    }
    var evaluation = results.evaluation
    if let costs, case .single(let labels) = results.labels {
      evaluation.costs = CostResult(
        costs, results.probabilities, labels: labels, independent: evaluation.independent)
    }
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

  /// Computes what rank 0 judges a model by, and writes nothing.
  ///
  /// - Throws: as ``evaluate(_:split:tta:snapshots:decisions:)``.
  package func follow(_ job: RankJob, in run: OpenRun) throws {
    guard job.subject.count == 2, let split = Split(rawValue: job.subject[0]) else {
      preconditionFailure("Rank 0 says which split and which model are judged.")
    }
    _ = try run.logits(of: split, by: FilePath(job.subject[1]))
  }

  /// The thresholds that are asked for, chosen by the run's validation photos.
  private func chosen(
    _ request: ThresholdRequest, _ results: RunEvaluation, _ run: OpenRun,
    _ tta: Recipe.TestTime, _ snapshots: Bool
  ) throws -> ModelThresholds {
    let source = run.directory.model.displayed
    guard !request.wanted.isEmpty else {
      return try request.thresholds(changing: results.thresholds, source: source)
    }
    let isValidation = results.evaluation.split == Split.valid.rawValue
    guard isValidation || !run.manifest.records(in: .valid).isEmpty else {
      throw PipelineError.data(
        "\(run.directory.path.displayed): has no validation photos, by which thresholds are chosen. Give"
          + " numbers with --threshold, or hold some out: thaw prepare \(run.manifest.root.filePath.quoted)"
          + " --run \(run.directory.path.quoted) --valid 0.2")
    }
    let choosing =
      isValidation
      ? results : try RunEvaluation(run, split: .valid, tta: tta, snapshots: snapshots)
    return try request.thresholds(
      changing: results.thresholds, choosing.probabilities, choosing.labels,
      split: Split.valid.rawValue, look: choosing.look,
      independent: choosing.evaluation.independentCount, source: source)
  }

  /// Writes thresholds into a model file; everything else in it stays.
  private func store(_ thresholds: ModelThresholds, in file: FilePath) throws {
    let checkpoint = try CheckpointReader.read(file)
    guard ModelFile.isModelFile(checkpoint), checkpoint.metadata["thaw.crc32"] != nil else {
      throw PipelineError.usage(
        "\(file.displayed) is no model file of Thaw, so thresholds cannot be stored in it. Leave"
          + " --store-thresholds out and give them to each prediction: thaw predict --threshold")
    }
    var (record, parameters) = try ModelFile.read(checkpoint)
    let counters = checkpoint.tensors.map { ParameterPath($0.name) }.filter {
      $0.leaf == "num_batches_tracked"
    }
    try thresholds.store(in: &record)
    try ModelFile.write(file, record, parameters, counters: counters)
    context.console.say(
      thresholds.chosen.isEmpty
        ? "\(file.displayed): has no thresholds any more."
        : "\(file.displayed): predictions go by these thresholds from now on.")
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
    policy: Recipe.Data.BadImagePolicy, decisions: Decisions = Decisions()
  ) throws -> Evaluation {
    let photos = try labelledPhotos(in: data, split: split)
    let names = Set(photos.files.flatMap(\.classNames)).sorted()
    let classifier = try model.labelled(by: names).load(context: context)
    try checkKind(of: classifier, photos.scan, data.folder)
    let costs = try decisions.matrix(
      classifier.classNames, isSeveral: classifier.outputActivation.allowsSeveralLabels)
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
    let labels = truth.labels(of: judged)
    let look = ModelCalibration.Look(tta, snapshots: members.count > 1)
    let plain = tta.probabilities(of: members, by: classifier.outputActivation)
    let probabilities =
      classifier.calibration?.fitted(for: look)?.fitted.temperature.probabilities(of: plain)
      ?? plain
    let thresholds = try decisions.thresholds.thresholds(
      changing: classifier.thresholds, probabilities, labels, split: photos.name, look: look,
      independent: judged.count, source: classifier.source)
    if decisions.stores {
      guard members.count == 1 else {
        throw PipelineError.usage(
          "--store-thresholds writes into one model, and several answer here. Leave --snapshots out."
        )
      }
      try store(thresholds, in: model.path)
    }
    var evaluation = try Evaluation(
      split: photos.name, classNames: classifier.classNames, members: members, tta: tta,
      labels: labels, thresholds: thresholds.values, calibration: classifier.calibration)
    evaluation.apply(thresholds, probabilities, labels)
    if let costs, case .single(let labels) = labels {
      evaluation.costs = CostResult(costs, probabilities, labels: labels)
    }
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

extension EvaluateStage.Decisions {
  /// The table of costs, if there is one.
  ///
  /// - Throws: ``PipelineError/usage(_:)`` where photos may have several labels; `FileError`;
  ///   ``PipelineError/data(_:)`` with the line that is wrong.
  fileprivate func matrix(_ classNames: [String], isSeveral: Bool) throws -> CostMatrix? {
    guard let costs else { return nil }
    guard !isSeveral else {
      throw PipelineError.usage(
        "--costs is for photos of one label: what several labels together cost no table of classes says."
          + " Leave it out.")
    }
    let text = String(decoding: try FileSystem.read(costs, limit: 1 << 26), as: UTF8.self)
    do { return try CostMatrix(table: text, classNames: classNames) } catch {
      throw PipelineError.data(
        "\(costs.displayed)\(error.line.map { ":\($0)" } ?? ""): \(error.problem). Expected a first row"
          + " of class names, and for each class a row that begins with its name.")
    }
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
