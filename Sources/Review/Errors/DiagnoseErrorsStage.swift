// SPDX-License-Identifier: Apache-2.0

package import SystemPackage
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

/// Find out what a classifier's mistakes have in common that its right answers have not.
package struct DiagnoseErrorsStage {
  private let context: StageContext

  /// Uses the context's threads and console.
  package init(context: StageContext) { self.context = context }

  /// What to look at, and how.
  package struct Options: Sendable {
    /// Nil for the test photos if there are some, else the validation photos, else all.
    package var split: Split?
    /// A table of further tags; nil for none.
    package var tags: FilePath?
    /// Photos in each gallery.
    package var shown = 12
    /// Where contact sheets go, one a tag; nil for the run, or nowhere without a run.
    package var sheets: FilePath?
    /// Keys the folds that look for suspicious labels.
    package var seed: UInt64 = 0

    /// The defaults.
    package init() {}
  }

  /// Tags the judged photos and ranks the tags by the mistakes they explain.
  ///
  /// For a run the result is kept as `diagnosis_errors.json`, with `diagnosis_errors.csv` and a sheet for
  /// each tag.
  ///
  /// - Throws: ``PipelineError``, errors of the model and the photos.
  package func diagnose(_ subject: DiagnosisSubject, options: Options) throws -> ErrorAnalysis {
    let table = try options.tags.map { try TagTable($0) }
    let subject = try subject.open(context: context)
    let classifier = try subject.classifier()
    let photos = try FitPhotos(subject, classifier)
    let judged = try self.judged(photos, options.split)
    let answers = Answers(photos, classifier)
    let isWrong = judged.rows.map { answers.predicted[$0] != photos.labels[$0] }
    var (tags, notes) = try tags(photos, judged.rows, answers, classifier, options)
    let names = judged.rows.map { photos.photos[$0].name }
    var unknown: [String] = []
    if let table {
      let matched = table.matched(names, root: subject.rootName)
      tags += matched.tags
      unknown = matched.unknown
      let elsewhere = unknown.count { path in photos.photos.contains { $0.name == path } }
      if !unknown.isEmpty {
        let shown = unknown.prefix(5).map { VisibleText.escape($0) }.joined(separator: ", ")
        context.console.warn(
          "\(options.tags?.displayed ?? ""): \(counted(unknown.count, "path")) of none of the"
            + " \(judged.name) photos: \(shown)\(unknown.count > 5 ? ", …" : "")"
            + (elsewhere > 0 ? " (\(elsewhere) of another split)" : ""))
      }
    }
    var analysis = ErrorAnalysis(
      split: judged.name,
      key: classifier.record.flatMap { try? TrainingRecord(json: $0.training) }?.key,
      isWrong: isWrong, tags: tags)
    analysis.unknownPaths = unknown
    analysis.notes = notes
    func photo(_ index: Int) -> ErrorAnalysis.Photo {
      answers.photo(
        judged.rows[index], photos, tags: tags.filter { $0.has[index] }.map(\.name))
    }
    let all = isWrong.indices
    func surest(_ wanted: Bool) -> [ErrorAnalysis.Photo] {
      all.filter { isWrong[$0] == wanted }.sorted {
        (answers.probability(judged.rows[$1]), $0) < (answers.probability(judged.rows[$0]), $1)
      }.prefix(options.shown).map(photo)
    }
    analysis.mostConfidentWrong = surest(true)
    analysis.mostConfidentRight = surest(false)
    analysis.mostAmbiguous = all.sorted {
      (answers.margin(judged.rows[$0]), $0) < (answers.margin(judged.rows[$1]), $1)
    }.prefix(options.shown).map(photo)
    try write(&analysis, photos, judged.rows, isWrong, tags, answers, subject, options)
    try subject.keep(analysis, of: "errors")
    return analysis
  }

  /// The photos that are judged, and what they are called.
  private func judged(
    _ photos: FitPhotos, _ asked: Split?
  ) throws -> (rows: [Int], name: String) {
    let present = Set(photos.photos.compactMap(\.split))
    guard let split = asked ?? [.test, .valid].first(where: present.contains) else {
      return (Array(photos.labels.indices), "all")
    }
    let rows = photos.indices(of: split)
    guard !rows.isEmpty else {
      throw PipelineError.data(
        "there are no '\(split.rawValue)' photos. Leave --split out, or choose another.")
    }
    return (rows, split.rawValue)
  }

  /// Everything that is measured.
  private func tags(
    _ photos: FitPhotos, _ rows: [Int], _ answers: Answers, _ classifier: Classifier,
    _ options: Options
  ) throws -> (tags: [(name: String, meaning: String?, has: [Bool])], notes: [String]) {
    let measured = try PhotoMeasuring.measure(
      rows.map { photos.photos[$0].path }, reading: classifier.preprocessing.decodeOptions,
      context: context)
    var (tags, notes) = PhotoTags.tags(
      measured, inputSize: classifier.preprocessing.inputSize)
    tags.append(
      (
        "near the boundary", "the two most probable classes are less than 0.2 apart",
        rows.map { answers.margin($0) < 0.2 }
      ))
    if let suspicious = try suspicious(photos, options.seed) {
      tags.append(
        (
          "suspicious label",
          "a classifier that has not seen the photo and its nearest neighbours both contradict the label",
          rows.map(suspicious.contains)
        ))
    } else {
      notes.append("Too few photos to look for suspicious labels.")
    }
    let width = photos.features.count / max(photos.labels.count, 1)
    if let unknown = classifier.unknown, unknown.featureCount == width {
      let elements = photos.features.elements
      tags.append(
        (
          "unlike training", "unlike the training photos, as thaw predict --unknown says it",
          rows.map { unknown.isUnknown(unknown.score(elements[($0 * width)..<(($0 + 1) * width)])) }
        ))
    } else {
      notes.append("The model does not know what is unlike its training photos.")
    }
    return (tags, notes)
  }

  /// The photos whose labels look wrong; nil when they are too few to say.
  private func suspicious(_ photos: FitPhotos, _ seed: UInt64) throws -> Set<Int>? {
    guard photos.labels.count >= 20 else { return nil }
    let progress = context.console.progress(
      "Looking for suspicious labels", total: nil, unit: "solutions")
    let probabilities = try CrossValidation.probabilities(
      photos.features, labels: photos.labels, classes: photos.classes.count, seed: seed,
      onSolve: { progress.advance() })
    progress.finish()
    let cases = LabelSuspicion(
      features: photos.features, probabilities: probabilities, labels: photos.labels
    ).cases
    return Set(cases.filter(\.isSuspicious).map(\.photo))
  }

  private func write(
    _ analysis: inout ErrorAnalysis, _ photos: FitPhotos, _ rows: [Int], _ isWrong: [Bool],
    _ tags: [(name: String, meaning: String?, has: [Bool])], _ answers: Answers,
    _ subject: OpenSubject, _ options: Options
  ) throws {
    let run: RunDirectory? = if case .run(let run) = subject { run.directory } else { nil }
    if let run {
      var table = CSVWriter(
        header: ["path", "split", "label", "predicted", "probability", "right", "tags"])
      for (index, row) in rows.enumerated() {
        let photo = answers.photo(row, photos, tags: tags.filter { $0.has[index] }.map(\.name))
        table.append([
          photo.path, analysis.split, photo.label, photo.predicted, "\(Float(photo.probability))",
          isWrong[index] ? "no" : "yes", photo.tags.joined(separator: "|"),
        ])
      }
      try AtomicFile.write(run.errorTable, text: table.text)
      analysis.table = run.errorTable.displayed
    }
    guard options.sheets != nil || run != nil else { return }
    if let folder = options.sheets { try FileSystem.createDirectory(folder) }
    if options.sheets == nil, let run { try run.removeErrorSheets() }
    var sheets: [String: String] = [:]
    for (number, tag) in tags.enumerated() where tag.has.contains(true) {
      try context.checkInterruption()
      // Mistakes first, then the photos that were answered rightly all the same.
      let order = rows.indices.filter { tag.has[$0] }.sorted {
        (isWrong[$0] ? 0 : 1, $0) < (isWrong[$1] ? 0 : 1, $1)
      }
      let shown = order.prefix(36).map {
        (photo: photos.photos[rows[$0]], isSuspicious: isWrong[$0])
      }
      let name = Self.fileName(tag.name, number)
      guard let path = options.sheets?.appending("\(name).png") ?? run?.errorSheet(name) else {
        continue
      }
      try AtomicFile.write(path, bytes: try SuspectSheet.png(shown))
      sheets[tag.name] = path.displayed
    }
    analysis.setSheets(sheets)
  }

  /// A file's name for a tag, whatever it is called.
  static func fileName(_ tag: String, _ number: Int) -> String {
    let plain = tag.lowercased().unicodeScalars.map { scalar -> String in
      ("a"..."z").contains(scalar) || ("0"..."9").contains(scalar) ? String(scalar) : "-"
    }.joined()
    return "\(number + 1)-\(plain.prefix(40))"
  }
}

/// What a model answered to photos.
struct Answers {
  let predicted: [Int]
  private let probabilities: [Float]
  private let classes: Int

  init(_ photos: FitPhotos, _ classifier: Classifier) {
    classes = photos.classes.count
    let fitted = classifier.calibration?.fitted.first?.temperature
    let all = fitted?.probabilities(ofLogits: photos.logits) ?? Probabilities.softmax(photos.logits)
    probabilities = all.elements
    predicted = Probabilities.predictions(all)
  }

  /// Of the answer.
  func probability(_ row: Int) -> Float { probabilities[row * classes + predicted[row]] }

  /// Of a class.
  func probability(_ row: Int, of index: Int) -> Float { probabilities[row * classes + index] }

  /// The class that came second; nil with one class.
  func second(_ row: Int) -> Int? {
    (0..<classes).filter { $0 != predicted[row] }.max {
      (probability(row, of: $0), $1) < (probability(row, of: $1), $0)
    }
  }

  /// How far the two most probable classes are apart.
  func margin(_ row: Int) -> Float {
    probability(row) - (second(row).map { probability(row, of: $0) } ?? 0)
  }

  func photo(_ row: Int, _ photos: FitPhotos, tags: [String]) -> ErrorAnalysis.Photo {
    let second = second(row)
    return ErrorAnalysis.Photo(
      path: photos.photos[row].name, label: photos.classes[photos.labels[row]],
      predicted: photos.classes[predicted[row]], probability: Double(probability(row)),
      second: second.map { photos.classes[$0] },
      secondProbability: second.map { Double(probability(row, of: $0)) }, tags: tags)
  }
}
