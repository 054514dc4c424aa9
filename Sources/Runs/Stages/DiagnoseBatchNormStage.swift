// SPDX-License-Identifier: Apache-2.0

import Foundation
package import SystemPackage
import ThawCheckpoints
import ThawConsole
import ThawDatasets
package import ThawDiagnosis
import ThawFiles
package import ThawInference
import ThawNetwork
package import ThawRanks
import ThawRecipes
import ThawTensors

/// Find out whether batch normalisation is why a network does worse in inference than in training.
package struct DiagnoseBatchNormStage {
  private let context: StageContext

  /// What to do besides looking.
  package struct Options: Sendable {
    /// Photos to use, at most.
    package var photos = 500
    /// Photos in a batch of the training phase; nil for what the network was trained with, or 32.
    package var batch: Int?
    /// Whether layers are switched one by one, the longest part.
    package var switchesLayers = true
    /// Whether fixes are tried when something is wrong.
    package var triesFixes = true
    /// Draws photos and batches.
    package var seed: UInt64 = 42
    /// Where the recommended fix's model is written; nil for nowhere.
    package var apply: FilePath?
    /// The fix to write instead of the recommended one.
    package var fix: String?
    /// A folder where the model of every fix is written; nil for nowhere.
    package var writeFixes: FilePath?
    /// What the network was trained on, to repair it with; the other photos judge then.
    package var trainingData: FilePath?
    /// Whether the network was trained on the photos; nil to find out.
    package var isSeen: Bool?
    /// The model's name for a folder's, where they differ.
    package var renaming: [String: String] = [:]

    /// The defaults.
    package init() {}
  }

  /// Uses the context's threads and console.
  package init(context: StageContext) { self.context = context }

  /// Diagnoses the model of a run on its own photos; writes `diagnosis_batchnorm.json` in the run.
  ///
  /// - Throws: ``PipelineError/notPrepared(_:needs:command:)`` before training.
  package func diagnose(_ run: OpenRun, options: Options) throws -> BatchNormDiagnosis {
    let work = try run.together(.diagnoseBatchNorm, subject: try options.shared.words) {
      try examine(run, options)
    }
    try write(work, options)
    try run.write(work.diagnosis, to: run.directory.diagnosis("batchnorm"))
    return work.diagnosis
  }

  /// Goes through the diagnosis that rank 0 makes, and writes nothing.
  ///
  /// - Throws: as ``diagnose(_:options:)``.
  package func follow(_ job: RankJob, in run: OpenRun) throws {
    let options = try Options.Shared(words: job.subject).options
    _ = try run.together(.diagnoseBatchNorm) { try examine(run, options) }
  }

  private func examine(_ run: OpenRun, _ options: Options) throws -> Work {
    let classifier = try run.classifier().inRealNumbers().withSoftmax(context: context)
    let root = run.manifest.root.filePath
    let items = run.manifest.records.map {
      DiagnosisPhotos.Item(
        path: $0.path.resolved(in: root), className: $0.className, split: $0.split)
    }
    return try examine(classifier, items, of: root, areOfRun: true, options)
  }

  /// A diagnosis, and the fixes that it tried.
  private struct Work {
    var diagnosis: BatchNormDiagnosis
    let fixes: BatchNormFixes
  }

  /// Diagnoses any model on photos with labels.
  ///
  /// - Throws: `DatasetError`; ``PipelineError/data(_:)`` naming classes the model does not know.
  package func diagnose(
    _ model: ModelReference, data: LabelledPhotos, options: Options
  ) throws -> BatchNormDiagnosis {
    var items = try photos(in: data)
    if let trainingData = options.trainingData {
      items = items.map { .init(path: $0.path, className: $0.className, split: .valid) }
      let training = try photos(in: LabelledPhotos(trainingData)).map {
        DiagnosisPhotos.Item(path: $0.path, className: $0.className, split: .train)
      }
      items = try training + unseen(items, among: training, data.folder, trainingData)
    }
    var wanted = model.labelled(by: Set(items.map(\.className)))
    // Whose statistics are lost is who needs the diagnosis most.
    wanted.replacesLostStatistics = true
    let network = try wanted.load(context: context).inRealNumbers()
      .withSoftmax(context: context)
    let work = try examine(network, items, of: data.folder, options)
    try write(work, options)
    return work.diagnosis
  }

  private func photos(in data: LabelledPhotos) throws -> [DiagnosisPhotos.Item] {
    try data.scanOfSingleLabels(context.console).files.map {
      DiagnosisPhotos.Item(
        path: $0.path.resolved(in: data.folder), className: $0.className, split: $0.split)
    }
  }

  /// Those of `items` whose contents are not also among the training photos.
  ///
  /// - Throws: ``PipelineError/data(_:)`` when none is left.
  private func unseen(
    _ items: [DiagnosisPhotos.Item], among training: [DiagnosisPhotos.Item], _ data: FilePath,
    _ trainingData: FilePath
  ) throws -> [DiagnosisPhotos.Item] {
    func contents(_ item: DiagnosisPhotos.Item) -> String {
      (try? PhotoFiles.read(item.path, limit: 1 << 30)).map { SHA256.hexadecimal(of: $0) }
        ?? item.path.string
    }
    let known = Set(training.map(contents))
    let kept = items.filter { !known.contains(contents($0)) }
    guard !kept.isEmpty else {
      throw PipelineError.data(
        "\(data.displayed): all of its photos are in \(trainingData.displayed) too. --data judges the"
          + " fixes, so it needs photos that the network was not trained on.")
    }
    if kept.count < items.count {
      context.console.warn(
        "\(items.count - kept.count) photos of \(data.displayed) are in \(trainingData.displayed) too"
          + " and judge nothing.")
    }
    return kept
  }

  private func examine(
    _ classifier: Classifier, _ items: [DiagnosisPhotos.Item], of data: FilePath,
    areOfRun: Bool = false, _ options: Options
  ) throws -> Work {
    let columns = try classifier.columns(
      of: Set(items.map(\.className)), renaming: options.renaming, data: data)
    let photos = try DiagnosisPhotos(
      items, columns: columns, limit: options.photos, areOfRun: areOfRun,
      seed: options.seed, classifier: classifier, context: context)
    let examination = try BatchNormExamination(
      classifier, photos: photos, trainedBatch: options.batch ?? classifier.training.batch,
      switchesLayers: options.switchesLayers, isSeen: options.isSeen, seed: options.seed,
      context: context)
    for line in examination.contradictions { context.console.warn(line) }
    let judgement = BatchNormJudgement(examination.facts, suspects: examination.suspects)
    var diagnosis = BatchNormDiagnosis(examination, judgement, classifier)
    let fixes = BatchNormFixes(
      classifier, examination, judgement, seed: options.seed, context: context)
    if options.triesFixes { try fixes.tryAll(&diagnosis) }
    fixes.recommend(&diagnosis)
    diagnosis.photoPasses = examination.photoPasses.rounded()
    return Work(diagnosis: diagnosis, fixes: fixes)
  }

  private func write(_ work: Work, _ options: Options) throws {
    let (diagnosis, fixes) = (work.diagnosis, work.fixes)
    if let directory = options.writeFixes { try fixes.writeAll(to: directory, diagnosis) }
    if let path = options.apply {
      try fixes.write(options.fix ?? diagnosis.recommendedFix, to: path, diagnosis)
    }
  }
}

extension DiagnoseBatchNormStage.Options {
  /// What of them the other ranks go by.
  fileprivate struct Shared: Codable {
    var photos: Int
    var batch: Int?
    var switchesLayers: Bool
    var triesFixes: Bool
    var seed: UInt64

    init(_ options: DiagnoseBatchNormStage.Options) {
      (photos, batch, seed) = (options.photos, options.batch, options.seed)
      (switchesLayers, triesFixes) = (options.switchesLayers, options.triesFixes)
    }

    /// Read from a job's subject.
    init(words: [String]) throws {
      self = try JSONDecoder().decode(Self.self, from: Data((words.first ?? "").utf8))
    }

    var words: [String] {
      get throws { [String(decoding: try JSONEncoder().encode(self), as: UTF8.self)] }
    }

    var options: DiagnoseBatchNormStage.Options {
      var options = DiagnoseBatchNormStage.Options()
      (options.photos, options.batch, options.seed) = (photos, batch, seed)
      (options.switchesLayers, options.triesFixes) = (switchesLayers, triesFixes)
      return options
    }
  }

  fileprivate var shared: Shared { Shared(self) }
}
