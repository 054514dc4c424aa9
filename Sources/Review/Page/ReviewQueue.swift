// SPDX-License-Identifier: Apache-2.0

import SystemPackage
import ThawConsole
import ThawDatasets
import ThawDiagnosis
import ThawInference
import ThawReports
import ThawRuns
import ThawTensors
import ThawTraining

/// The photos of a run that deserve a look, the most doubtful first.
struct ReviewQueue: Sendable {
  /// Why a photo is shown.
  enum Reason: String, Sendable, CaseIterable, Encodable {
    /// A classifier that has not seen the photo and its neighbours contradict the label.
    case suspicious
    /// The model answers otherwise, and was not trained on the photo.
    case mistake
    /// The same picture is in another class or split.
    case duplicate
    /// It is unlike the training photos.
    case unlike
  }

  /// Another photo that shows the same.
  struct Twin: Sendable, Encodable {
    let id: Int
    let path: String
    let label: String
  }

  /// One photo. ``id`` is its place in the manifest.
  struct Item: Sendable, Encodable {
    let id: Int
    let path: String
    let label: String
    let split: String
    let predicted: String
    let probability: Double
    /// Another class that it may show; nil when nothing speaks for one.
    let suggestion: String?
    let reasons: [Reason]
    let twins: [Twin]
  }

  let items: [Item]

  /// Looks for them.
  ///
  /// - Throws: ``PipelineError/usage(_:)`` where photos may have several labels; errors of the model.
  init(_ run: OpenRun, seed: UInt64) throws {
    try run.requireOneLabel()
    let (manifest, context) = (run.manifest, run.context)
    let classifier = try run.classifier().withSoftmax(context: context)
    let photos = try FitPhotos(.run(run), classifier)
    let answers = Answers(photos, classifier)
    let records = manifest.records
    let progress = context.console.progress(
      "Looking for suspicious labels", total: nil, unit: "solutions")
    let probabilities = try CrossValidation.probabilities(
      photos.features, labels: photos.labels, classes: photos.classes.count, seed: seed,
      onSolve: { progress.advance() })
    progress.finish()
    let cases = Dictionary(
      uniqueKeysWithValues: LabelSuspicion(
        features: photos.features, probabilities: probabilities, labels: photos.labels
      ).cases.map { ($0.photo, $0) })
    let twins = ReviewQueue.twins(manifest)
    let unlike = ReviewQueue.unlike(photos, classifier)
    var found: [(rank: Double, item: Item)] = []
    for (id, record) in records.enumerated() {
      let suspicion = cases[id]
      let isWrong = answers.predicted[id] != photos.labels[id]
      var reasons: [Reason] = []
      if suspicion?.isSuspicious == true { reasons.append(.suspicious) }
      if isWrong, record.split != .train { reasons.append(.mistake) }
      if !(twins[id] ?? []).isEmpty { reasons.append(.duplicate) }
      if unlike.contains(id) { reasons.append(.unlike) }
      guard !reasons.isEmpty else { continue }
      let other =
        suspicion.flatMap { $0.isSuspicious ? $0.suggestion : nil }
        ?? (isWrong ? answers.predicted[id] : nil)
      let item = Item(
        id: id, path: record.path.description, label: record.className,
        split: record.split.rawValue, predicted: photos.classes[answers.predicted[id]],
        probability: Double(answers.probability(id)), suggestion: other.map { photos.classes[$0] },
        reasons: reasons,
        twins: (twins[id] ?? []).map {
          Twin(id: $0, path: records[$0].path.description, label: records[$0].className)
        })
      let first = reasons[0] == .suspicious ? 0.0 : reasons[0] == .mistake ? 10 : 20
      let doubt = suspicion?.score ?? 0
      found.append((first - doubt, item))
    }
    items = found.enumerated().sorted {
      ($0.element.rank, $0.offset) < ($1.element.rank, $1.offset)
    }.map(\.element.item)
  }

  /// For each photo the others of the same picture in another class or split.
  private static func twins(_ manifest: Manifest) -> [Int: [Int]] {
    let places = Dictionary(
      uniqueKeysWithValues: manifest.records.enumerated().map { ($1.path, $0) })
    let groups =
      manifest.duplicates.map(\.paths) + (manifest.nearDuplicates ?? []).map(\.paths)
    var result: [Int: Set<Int>] = [:]
    for group in groups {
      let ids = group.compactMap { places[$0] }
      for id in ids {
        let own = manifest.records[id]
        for other in ids where other != id {
          let twin = manifest.records[other]
          if twin.className != own.className || twin.split != own.split {
            result[id, default: []].insert(other)
          }
        }
      }
    }
    return result.mapValues { $0.sorted().prefix(6).map(\.self) }
  }

  private static func unlike(_ photos: FitPhotos, _ classifier: Classifier) -> Set<Int> {
    let width = photos.features.count / max(photos.labels.count, 1)
    guard let unknown = classifier.unknown, unknown.featureCount == width else { return [] }
    let elements = photos.features.elements
    return Set(
      photos.labels.indices.filter {
        unknown.isUnknown(unknown.score(elements[($0 * width)..<(($0 + 1) * width)]))
      })
  }
}
