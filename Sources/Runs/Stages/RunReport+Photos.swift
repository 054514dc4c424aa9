// SPDX-License-Identifier: Apache-2.0

import ThawAnswers
import ThawDatasets
import ThawExecution
import ThawFiles
import ThawImages
import ThawInference
import ThawRecipes
import ThawReports

/// Which photos a report shows.
extension RunReport {
  /// A photo that was judged, with what was answered.
  struct JudgedPhoto {
    let shown: ReportContent.Answer
    let record: Manifest.Record
  }

  /// Answers of each kind; none is in two of them.
  struct Answers {
    var mistakes: [JudgedPhoto] = []
    var unsure: [JudgedPhoto] = []
    var sure: [JudgedPhoto] = []

    var all: [JudgedPhoto] { mistakes + unsure + sure }
  }

  /// A right answer with a smaller probability is an unsure one.
  private static let sureFrom: Float = 0.8
  private static let mostMistakes = 24
  private static let mostRight = 12

  /// The most confident mistakes, worst first; the least confident right answers; and the most
  /// confident ones, class by class.
  var answers: Answers {
    let certainties = result.records.indices.map { certainty($0) }
    // Equal ones in the order of the photos.
    let rows = certainties.indices.sorted { (certainties[$1], $0) < (certainties[$0], $1) }
    let (right, wrong) = (rows.filter(result.isRight), rows.filter { !result.isRight($0) })
    let unsure = right.reversed().prefix { certainties[$0] < Self.sureFrom }
    let sure = Self.alternating(
      right.filter { certainties[$0] >= Self.sureFrom }, by: { result.answers($0).first ?? -1 })
    return Answers(
      mistakes: wrong.prefix(Self.mostMistakes).map(judged),
      unsure: unsure.prefix(Self.mostRight).map(judged),
      sure: sure.prefix(Self.mostRight).map(judged))
  }

  /// The first of each class, then the second of each, and so on; within a turn as they come.
  private static func alternating(_ rows: [Int], by label: (Int) -> Int) -> [Int] {
    var seen: [Int: Int] = [:]
    let turns = rows.enumerated().map { place, row in
      let turn = seen[label(row), default: 0]
      seen[label(row)] = turn + 1
      return (turn: turn, place: place, row: row)
    }
    return turns.sorted { ($0.turn, $0.place) < ($1.turn, $1.place) }.map(\.row)
  }

  /// How probable what was answered is. Where a photo may have several labels: of a wrong answer how sure
  /// its surest mistake is, of a right one how sure the least sure of its answers.
  private func certainty(_ row: Int) -> Float {
    guard let rows = result.labels.rows else {
      return result.probability(row, result.answers(row).first ?? 0)
    }
    let own = result.answers(row)
    func sureness(_ column: Int) -> Float {
      let probability = result.probability(row, column)
      return own.contains(column) ? probability : 1 - probability
    }
    let wrong = result.classes.indices.filter { column in
      rows.label(row, column).map { $0 != own.contains(column) } ?? false
    }
    return wrong.map(sureness).max() ?? result.classes.indices.map(sureness).min() ?? 0
  }

  private func judged(_ row: Int) -> JudgedPhoto {
    guard result.labels.rows == nil else { return judgedLabels(row) }
    let (predicted, classes) = (result.predictions[row], result.classes)
    let others = classes.indices.filter { $0 != predicted }
    let second = others.max {
      (result.probability(row, $0), $1) < (result.probability(row, $1), $0)
    }
    return JudgedPhoto(
      shown: ReportContent.Answer(
        path: result.records[row].path.description, predicted: classes[predicted],
        truth: classes[result.labels.label(row)],
        probability: Double(result.probability(row, predicted)),
        second: second.map { (classes[$0], Double(result.probability(row, $0))) }),
      record: result.records[row])
  }

  private func judgedLabels(_ row: Int) -> JudgedPhoto {
    let record = result.records[row]
    let found = LabelSet(present: result.answers(row).map { result.classes[$0] })
    return JudgedPhoto(
      shown: ReportContent.Answer(
        path: record.path.description, predicted: found.text, truth: record.className,
        probability: Double(certainty(row))),
      record: record)
  }

  /// A few training photos as `settings` vary them, drawn as training draws; photos that cannot be
  /// read any more are left out.
  func augmented(_ settings: Recipe.Train) -> [ReportContent.AugmentedPhoto] {
    let records = manifest.records(in: .train)
    let (photos, most, side) = (min(3, records.count), 5, 128)
    let draws =
      if case .cached(let count) = settings.views { min(max(count, 1), most) } else { most }
    let sheet = ContactSheet(
      network.preprocessing, augmentation: settings.augmentation, seed: recipe.seed, draws: draws)
    return (0..<photos).compactMap { row in
      // From the middle of each third, so that two of one class are rare.
      let record = records[(2 * row + 1) * records.count / (2 * photos)]
      let path = record.path.resolved(in: manifest.root.filePath)
      guard let bytes = try? PhotoFiles.read(path, limit: 1 << 28),
        let squares = try? bytes.withUnsafeBytes({ try sheet.row($0, sample: record.drawNumber) }),
        let pictures = try? squares.map({ try Thumbnail.jpeg(of: $0, longerSide: side) })
      else { return nil }
      return ReportContent.AugmentedPhoto(
        path: record.path.description, truth: record.className, plain: pictures[0],
        draws: Array(pictures.dropFirst()))
    }
  }
}

/// What the network saw in the photos that it took for something else.
extension RunReport {
  /// For each mistake's path a small JPEG of the photo as the network sees it, bright where something speaks for
  /// the class that it was taken for.
  ///
  /// Empty where photos may have several labels, and for a network that leaves no image in front of its head;
  /// photos that cannot be read any more are left out.
  func evidence(for mistakes: [JudgedPhoto]) throws -> [String: [UInt8]] {
    let context = open.context
    guard !mistakes.isEmpty, !manifest.severalLabels,
      let model = try? StoredModel(modelFile: run.model),
      let evidence = try? ClassEvidence(model, source: run.model.displayed, context: context)
    else { return [:] }
    let indices = manifest.classIndices
    var pictures: [String: [UInt8]] = [:]
    for mistake in mistakes {
      try context.checkInterruption()
      let path = mistake.record.path.resolved(in: manifest.root.filePath)
      guard let predicted = indices[mistake.shown.predicted],
        let photo = try? SeenPhoto(path, model.preprocessing)
      else { continue }
      let map = try evidence.map(UnsafeBufferPointer(photo.pixels.elements)) { _ in predicted }
      let heat = HeatMap(map.values, height: evidence.height, width: evidence.width)
      pictures[mistake.shown.path] = try? Thumbnail.jpeg(
        of: heat.overlay(on: photo.square), longerSide: 160)
    }
    return pictures
  }
}
