// SPDX-License-Identifier: Apache-2.0

import Foundation
package import SystemPackage
import ThawConsole
import ThawDatasets
package import ThawDiagnosis
import ThawFiles
import ThawImages
package import ThawInference
import ThawTensors
import ThawTraining

/// Find out where a classifier's errors come from, and which labels look wrong.
package struct DiagnoseFitStage {
  private let context: StageContext

  /// Uses the context's threads and console.
  package init(context: StageContext) { self.context = context }

  /// What to look at, and how.
  package struct Options: Sendable {
    /// Error of people at the same task, 0 to 1; nil when nobody measured it.
    package var humanError: Double?
    /// Whether to train on one small batch.
    package var overfits = true
    /// Photos listed and shown.
    package var shown = 24
    /// Where the contact sheet is written; nil for the run's place, or nowhere without a run.
    package var sheet: FilePath?
    /// Where the table of all photos is written; likewise.
    package var table: FilePath?
    /// Keys folds, batches and fresh weights.
    package var seed: UInt64 = 0

    /// The defaults.
    package init() {}
  }

  /// Takes the error apart and looks for wrong labels.
  ///
  /// For a run the result is kept as `diagnosis_fit.json`, with `diagnosis_fit.csv` and
  /// `diagnosis_fit.png`.
  ///
  /// - Throws: ``PipelineError``, errors of the model and the photos.
  package func diagnose(_ subject: DiagnosisSubject, options: Options) throws -> FitFindings {
    let subject = try subject.open(context: context)
    guard case .run(let run) = subject else { return try find(subject, options, hints: []) }
    var options = options
    options.sheet = options.sheet ?? run.directory.labelSheet
    options.table = options.table ?? run.directory.labelTable
    let findings = try find(subject, options, hints: hints(run.directory))
    try subject.keep(findings, of: "fit")
    return findings
  }

  /// What the epochs of the last training suggest; a damaged history is said and does without.
  private func hints(_ run: RunDirectory) throws -> [FitHint] {
    do { return try run.hints } catch {
      guard case PipelineError.data(let text) = error else { throw error }
      context.console.warn(text)
      return []
    }
  }

  private func find(
    _ subject: OpenSubject, _ options: Options, hints: [FitHint]
  ) throws -> FitFindings {
    let classifier = try subject.classifier()
    let photos = try FitPhotos(subject, classifier)
    let heads = context.console.progress(
      "Cross-validating the head on \(photos.labels.count) photos", total: nil, unit: "solutions")
    let train = photos.indices(of: .train)
    let valid = photos.indices(of: .valid)
    let (held, heldName) =
      valid.isEmpty ? (photos.indices(of: .test), "test") : (valid, "valid")
    let probabilities = try CrossValidation.probabilities(
      photos.features, labels: photos.labels, classes: photos.classes.count, seed: options.seed,
      onSolve: { heads.advance() })
    let suspicion = LabelSuspicion(
      features: photos.features, probabilities: probabilities, labels: photos.labels)
    let parts = try parts(photos, train, held, options, heads)
    let splits = try mismatch(photos, train, held, options, heads)
    heads.finish()
    var findings = FitFindings(
      parts: parts, humanError: options.humanError,
      heldOut: held.isEmpty ? nil : heldName, splits: splits,
      overfitTest: options.overfits
        ? try OverfitTest.run(classifier, photos, seed: options.seed, context: context) : nil,
      labels: suspicion.cases.prefix(options.shown).map { listed($0, photos) },
      suspiciousCount: suspicion.cases.count { $0.isSuspicious }, hints: hints,
      signal: signal(photos, probabilities), isHeadAlone: classifier.trainedHeadAlone ?? false)
    if train.isEmpty {
      findings.notes.append(
        "The folder has no train split: what the network was trained on is not known.")
    }
    try write(suspicion, photos, options, &findings)
    return findings
  }

  /// Whether the labels can be told apart at all.
  private func signal(_ photos: FitPhotos, _ probabilities: Tensor<Float>) -> LabelSignal? {
    let judged = photos.labels.indices.filter {
      probabilities[$0 * photos.classes.count].isFinite
    }
    return LabelSignal(
      probabilities.rows(judged), labels: judged.map { photos.labels[$0] }, classes: photos.classes)
  }

  private func parts(
    _ photos: FitPhotos, _ train: [Int], _ held: [Int], _ options: Options, _ heads: ProgressLine
  ) throws -> BiasVariance {
    func rate(_ indices: [Int]) -> ErrorRate? {
      photos.error(indices).map {
        ErrorRate(error: Double($0.wrong) / Double($0.count), count: $0.count)
      }
    }
    return BiasVariance(
      humanError: options.humanError, training: rate(train),
      crossValidated: try crossValidated(photos, train, options.seed, heads),
      validation: rate(held))
  }

  /// The error of heads fitted to four fifths of the training photos on the other fifth.
  private func crossValidated(
    _ photos: FitPhotos, _ train: [Int], _ seed: UInt64, _ heads: ProgressLine
  ) throws -> ErrorRate? {
    guard train.count >= 20 else { return nil }
    let labels = train.map { photos.labels[$0] }
    let classes = photos.classes.count
    let probabilities = try CrossValidation.probabilities(
      photos.features.rows(train), labels: labels, classes: classes, seed: seed,
      onSolve: { heads.advance() })
    let judged = labels.indices.filter { probabilities[$0 * classes].isFinite }
    guard !judged.isEmpty else { return nil }
    let predictions = Probabilities.predictions(probabilities.rows(judged))
    let wrong = judged.indices.count { predictions[$0] != labels[judged[$0]] }
    return ErrorRate(error: Double(wrong) / Double(judged.count), count: judged.count)
  }

  /// Whether the two splits can be told apart by the features.
  private func mismatch(
    _ photos: FitPhotos, _ train: [Int], _ held: [Int], _ options: Options, _ heads: ProgressLine
  ) throws -> SplitMismatch? {
    guard train.count >= 10, held.count >= 10 else { return nil }
    let both = train + held
    let isHeld = both.indices.map { $0 >= train.count }
    let probabilities = try CrossValidation.probabilities(
      photos.features.rows(both), labels: isHeld.map { $0 ? 1 : 0 }, classes: 2,
      inverseStrength: 0.01, seed: options.seed, onSolve: { heads.advance() })
    return SplitMismatch(
      scores: both.indices.map { Double(probabilities[2 * $0 + 1]) }, isSecond: isHeld,
      labels: both.map { photos.labels[$0] })
  }

  private func listed(_ found: LabelSuspicion.Case, _ photos: FitPhotos) -> FitFindings.Photo {
    FitFindings.Photo(
      path: photos.photos[found.photo].name, split: photos.photos[found.photo].split?.rawValue,
      label: photos.classes[found.label], suggestion: photos.classes[found.suggestion], found)
  }

  private func write(
    _ suspicion: LabelSuspicion, _ photos: FitPhotos, _ options: Options,
    _ findings: inout FitFindings
  ) throws {
    if let path = options.table {
      var table = CSVWriter(
        header: [
          "path", "split", "label", "suggestion", "suspicious", "score", "loss",
          "neighbour_share",
        ])
      for found in suspicion.cases {
        let photo = listed(found, photos)
        table.append([
          photo.path, photo.split ?? "", photo.label, photo.suggestion,
          photo.isSuspicious ? "yes" : "no", Format.fixed(photo.score, 4),
          Format.fixed(photo.loss, 4), Format.fixed(photo.neighbourShare, 3),
        ])
      }
      try AtomicFile.write(path, text: table.text)
      findings.table = path.displayed
    }
    if let path = options.sheet {
      let shown = suspicion.cases.prefix(options.shown).map {
        (photo: photos.photos[$0.photo], isSuspicious: $0.isSuspicious)
      }
      try AtomicFile.write(path, bytes: try SuspectSheet.png(shown))
      findings.sheet = path.displayed
    }
  }
}
