// SPDX-License-Identifier: Apache-2.0

import SystemPackage
import ThawAnswers
import ThawConsole
package import ThawDatasets
import ThawDiagnosis
import ThawFiles
import ThawImages
package import ThawInference
package import ThawReports
package import ThawRuns
import ThawTensors
import ThawTraining

/// Find out whether a classifier goes by what is in the photos' middle, or by marks, frames and backgrounds.
///
/// Three looks: where the heat of class maps is; how many photos are answered rightly with their inner or outer
/// half grey; and, which decides, what is answered to photos whose halves come from two classes. Grey halves
/// alone would not do: a network may well have an answer for grey.
package struct DiagnoseShortcutsStage {
  private let context: StageContext

  /// Uses the context's threads and console.
  package init(context: StageContext) { self.context = context }

  /// What to look at.
  package struct Options: Sendable {
    /// Nil for the validation and test photos if there are some, else all.
    package var split: Split?
    /// Photos at most, evenly of the classes.
    package var photos = 200

    /// The defaults.
    package init() {}
  }

  /// Looks at the photos; for a run the result is kept as `diagnosis_shortcuts.json`.
  ///
  /// - Throws: ``PipelineError``, errors of the model and the photos.
  package func diagnose(_ subject: DiagnosisSubject, options: Options) throws -> ShortcutDiagnosis {
    let subject = try subject.open(context: context)
    let classifier = try subject.classifier()
    let (chosen, split) = try photos(subject, classifier, options)
    var work = try ShortcutWork(chosen, classifier, context: context)
    let result = try work.diagnosis(split: split)
    try subject.keep(result, of: "shortcuts")
    return result
  }

  /// Labelled photos, evenly of the classes: of each every so many-th.
  private func photos(
    _ subject: OpenSubject, _ classifier: Classifier, _ options: Options
  ) throws -> (photos: [(path: FilePath, label: Int)], split: String) {
    let all = try subject.photos()
    let present = Set(all.compactMap(\.split))
    let held = [Split.valid, .test].filter(present.contains)
    let wanted = options.split.map { [$0] } ?? (held.isEmpty ? Split.allCases : held)
    let isDivided = !present.isEmpty
    guard isDivided || options.split == nil else {
      throw PipelineError.data("the photos have no splits. Leave --split out.")
    }
    let indices = Dictionary(
      uniqueKeysWithValues: classifier.classNames.enumerated().map { ($1, $0) })
    let names = Set(all.map { $0.className ?? "" }).filter { indices[$0] == nil }.sorted()
    guard names.isEmpty else {
      throw PipelineError.data(
        "the model \(classifier.source) does not know the class"
          + " \(names.prefix(5).map { "'\($0)'" }.joined(separator: ", ")); the photos need a folder for each"
          + " of its classes.")
    }
    let used = all.filter { photo in
      guard isDivided else { return true }
      return photo.split.map(wanted.contains) ?? false
    }
    let groups = Dictionary(grouping: used) { $0.className ?? "" }
    guard groups.count > 1 else {
      throw PipelineError.data(
        "photos of at least two classes are needed, there are some of \(groups.count). Choose another split."
      )
    }
    let most = max(options.photos / groups.count, 1)
    let chosen = groups.keys.sorted().flatMap { name -> [(path: FilePath, label: Int)] in
      let own = groups[name] ?? []
      let count = min(most, own.count)
      return (0..<count).map { (own[$0 * own.count / count].path, indices[name] ?? 0) }
    }
    let name = isDivided ? wanted.map(\.rawValue).joined(separator: " and ") : "all"
    return (chosen, name)
  }
}

/// Photos in memory, and what is tried with them.
private struct ShortcutWork {
  private let classifier: Classifier
  private let context: StageContext
  private let side: Int
  private let stride: Int
  private var pixels: AlignedStorage<Float>
  private var labels: [Int]
  private let parts: PhotoParts
  private let grey: [Float]
  private var notes: [String] = []
  private var count: Int { labels.count }

  init(
    _ photos: [(path: FilePath, label: Int)], _ classifier: Classifier, context: StageContext
  ) throws {
    self.classifier = classifier
    self.context = context
    let contract = classifier.preprocessing
    side = contract.inputSize
    stride = contract.elementCount
    parts = PhotoParts(side: side)
    grey = (0..<3).map { Float((127.5 * contract.scale - contract.mean[$0]) / contract.std[$0]) }
    let all = AlignedStorage<Float>(count: photos.count * stride)
    let reasons = try classifier.prepare(photos.map(\.path), into: all)
    let usable = reasons.indices.filter { reasons[$0] == nil }
    for (photo, reason) in zip(photos, reasons) {
      if let reason { context.console.warn("\(photo.path.displayed): \(reason)") }
    }
    guard !usable.isEmpty else { throw PipelineError.data("none of the photos could be read.") }
    for (target, source) in usable.enumerated() where target != source {
      for index in 0..<stride {
        all.elements[target * stride + index] = all.elements[source * stride + index]
      }
    }
    pixels = all
    labels = usable.map { photos[$0].label }
  }

  private func photo(_ index: Int) -> UnsafeBufferPointer<Float> {
    UnsafeBufferPointer(rebasing: pixels.elements[(index * stride)..<((index + 1) * stride)])
  }

  /// The answers to photos that `change` made others of; of `number` of them.
  private func answers(
    _ number: Int, change: (Int, UnsafeMutableBufferPointer<Float>) -> Void
  ) throws -> [Int] {
    var answers: [Int] = []
    let chunk = 32
    let batch = AlignedStorage<Float>(count: min(chunk, max(number, 1)) * stride)
    for start in Swift.stride(from: 0, to: number, by: chunk) {
      try context.checkInterruption()
      let count = min(chunk, number - start)
      for row in 0..<count {
        change(
          start + row,
          UnsafeMutableBufferPointer(
            rebasing: batch.elements[(row * stride)..<((row + 1) * stride)]))
      }
      answers += Probabilities.predictions(
        try classifier.logits(
          UnsafeBufferPointer(rebasing: batch.elements[..<(count * stride)])))
    }
    return answers
  }

  private func whole(_ index: Int, _ target: UnsafeMutableBufferPointer<Float>) {
    _ = target.update(fromContentsOf: photo(index))
  }

  mutating func diagnosis(split: String) throws -> ShortcutDiagnosis {
    let (parts, grey, plane) = (parts, grey, side * side)
    let plain = try answers(count, change: whole)
    func hidden(inner: Bool) throws -> [Int] {
      try answers(count) { index, target in
        whole(index, target)
        parts.replace(target, inner: inner) { channel, _ in grey[channel] }
      }
    }
    let (withoutCentre, withoutBorder) = (try hidden(inner: true), try hidden(inner: false))
    let greyAnswer = try answers(1) { _, target in
      for index in target.indices { target[index] = grey[index / plane] }
    }
    let pairs = pairs(plain)
    let composed = try answers(pairs.count) { index, target in
      let (centre, border) = pairs[index]
      whole(border, target)
      let source = photo(centre)
      parts.replace(target, inner: true) { channel, offset in source[channel * plane + offset] }
    }
    let heat = try heat(plain)
    func share(_ rows: [Int], _ answers: [Int]) -> ErrorAnalysis.Share {
      ErrorAnalysis.Share(rows.count { answers[$0] == labels[$0] }, of: rows.count)
    }
    let classes = classifier.classNames.enumerated().compactMap {
      index, name -> ShortcutDiagnosis.ClassLook? in
      let rows = labels.indices.filter { labels[$0] == index }
      guard !rows.isEmpty else { return nil }
      let (centres, borders) = (
        pairs.indices.filter { labels[pairs[$0].centre] == index },
        pairs.indices.filter { labels[pairs[$0].border] == index }
      )
      let own = heat.map { maps in rows.map { maps[$0] }.filter { !$0.values.isEmpty } }
      let usual = heat.map { maps in
        HeatShares.usual(labels.indices.filter { labels[$0] != index }.map { maps[$0] })
      }
      let ninths = own.flatMap { own -> [Double]? in
        own.isEmpty
          ? nil
          : (0..<9).map { place in
            own.reduce(0) { $0 + $1.ninths[place] } / Double(own.count)
          }
      }
      let hottest = ninths.flatMap { ninths in ninths.indices.max { ninths[$0] < ninths[$1] } }
      func mean(_ value: (HeatShares) -> Double) -> ShortcutDiagnosis.Mean? {
        own.flatMap { $0.isEmpty ? nil : ShortcutDiagnosis.Mean($0.map(value)) }
      }
      let centre = ErrorAnalysis.Share(
        centres.count { composed[$0] == index }, of: centres.count)
      let border = ErrorAnalysis.Share(
        borders.count { composed[$0] == index }, of: borders.count)
      return ShortcutDiagnosis.ClassLook(
        name: name, count: rows.count, borderHeat: mean(\.border), cornerHeat: mean(\.corners),
        unusualHeat: usual.flatMap { usual in mean { $0.outside(usual) } },
        hottest: hottest.flatMap { place in
          ninths.map { (ShortcutDiagnosis.places[place], $0[place]) }
        },
        excess: own.flatMap { own in
          ShortcutDiagnosis.Excess(
            own.map(\.ninths),
            (heat ?? []).indices.filter { labels[$0] != index }.compactMap {
              heat?[$0].values.isEmpty == false ? heat?[$0].ninths : nil
            })
        }, recall: share(rows, plain),
        recallCentreHidden: share(rows, withoutCentre),
        recallBorderHidden: share(rows, withoutBorder),
        centreDecides: centre, borderDecides: border)
    }
    let all = Array(labels.indices)
    return ShortcutDiagnosis(
      split: split,
      key: classifier.record.flatMap { try? TrainingRecord(json: $0.training) }?.key,
      accuracy: share(all, plain), centreHidden: share(all, withoutCentre),
      borderHidden: share(all, withoutBorder), greyAnswer: classifier.classNames[greyAnswer[0]],
      classes: classes, notes: notes)
  }

  /// Photos of different classes that are answered rightly, each once as the centre and once as the border.
  private func pairs(_ answers: [Int]) -> [(centre: Int, border: Int)] {
    let right = labels.indices.filter { answers[$0] == labels[$0] }
    var groups: [Int: [Int]] = [:]
    for photo in right { groups[labels[photo], default: []].append(photo) }
    guard groups.count > 1 else { return [] }
    // In turns of the classes, so that neighbours are of different ones as far as they go.
    let turns = right.map { photo in
      (turn: groups[labels[photo]]?.firstIndex(of: photo) ?? 0, label: labels[photo], photo: photo)
    }.sorted { ($0.turn, $0.label) < ($1.turn, $1.label) }.map(\.photo)
    return turns.indices.compactMap { place in
      let centre = turns[place]
      for step in 1..<turns.count {
        let border = turns[(place + step) % turns.count]
        if labels[border] != labels[centre] { return (centre, border) }
      }
      return nil
    }
  }

  /// One map a photo, of its answer; nil where the network has no image in front of its head.
  private mutating func heat(_ answers: [Int]) throws -> [HeatShares]? {
    let evidence: ClassEvidence
    do {
      evidence = try ClassEvidence(
        classifier.model, source: classifier.source, context: context)
    } catch PipelineError.usage {
      notes.append(
        "The network has no image in front of its head, so that no heat could be looked at.")
      return nil
    }
    let progress = context.console.progress("Explaining", total: count)
    var maps: [HeatShares] = []
    for index in 0..<count {
      try context.checkInterruption()
      let map = try evidence.map(photo(index), index: { _ in answers[index] })
      maps.append(
        HeatShares(HeatMap(map.values, height: evidence.height, width: evidence.width)))
      progress.advance()
    }
    progress.finish()
    return maps
  }
}
