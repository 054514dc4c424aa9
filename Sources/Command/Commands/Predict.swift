// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import SystemPackage
import ThawConsole
import ThawFiles
import ThawInference
import ThawPlanning
import ThawRecipes
import ThawRuns

/// `thaw predict`
struct Predict: ParsableCommand {
  /// How predictions are written.
  enum Format: String, ExpressibleByArgument, CaseIterable { case text, json, csv }

  static let configuration = CommandConfiguration(
    abstract: "Predict the class of photos or folders of photos.",
    discussion: """
      A photo that cannot be read is named on stderr, the others are predicted all the same; the \
      exit code is then 65.
      """)

  @Option(
    help: "Model file, checkpoint, or the name of a pretrained backbone.",
    completion: Completions.models)
  var model: String

  @OptionGroup var foreign: ForeignModelOptions

  @Argument(help: "Photos, or folders and zip or tar files that are searched for photos.")
  var images: [FilePath]

  @Option(help: "How many classes to rank. (default: 5)")
  var top: Int?

  @Option(
    help: """
      Which photos to label next, in place of what is on them: those of which the model is unsure \
      (uncertainty), or unsure ones that are unlike each other (diversity). Documentation/labelling.md.
      """)
  var rank: LabelQueue.Order?

  @Option(help: "With --rank: how many photos to name. (default: 100)")
  var count: Int?

  @OptionGroup(title: "Several looks, several models") var testTime: TestTimeOptions

  @Option(
    help: ArgumentHelp(
      "Also give a set of labels that contains the right one with this probability, such as 0.9.",
      valueName: "probability"))
  var coverage: Double?

  @Flag(
    help: """
      With --coverage: keep it for the photos of each class that has enough validation photos, not on average \
      alone.
      """)
  var coveragePerClass = false

  @Option(
    help: """
      Photos that are unlike anything the model was trained on: label them 'unknown', flag them beside \
      their label, or off (default: flag, where the model can tell).
      """)
  var unknown: PredictStage.UnknownPhotos?

  @Option(
    help: ArgumentHelp(
      """
      Answer CLASS from this probability on, in place of the model's own threshold; may be repeated. A \
      photo whose most probable class misses its threshold is 'undecided'; 0 takes a threshold away.
      """, valueName: "CLASS=P"))
  var threshold: [String] = []

  @Option(help: "text, json or csv.")
  var format: Format?

  @Option(help: "Write to this file instead of stdout.")
  var output: FilePath?

  @Flag(help: "With JSON: add the logits, one a class, of the first view.")
  var logits = false

  @OptionGroup(title: "Every command") var global: GlobalOptions

  func validate() throws {
    _ = try ThresholdOptions.given(threshold)
    if let top, top < 1 { throw ValidationError("--top is \(top), expected at least 1.") }
    if let count, count < 1 { throw ValidationError("--count is \(count), expected at least 1.") }
    if rank == nil, count != nil {
      throw ValidationError("--count has no effect without --rank.")
    }
    if rank != nil {
      let idle = [
        top.map { _ in "--top" }, coverage.map { _ in "--coverage" },
        unknown.map { _ in "--unknown" }, logits ? "--logits" : nil,
      ].compactMap { $0 }
      if let option = idle.first {
        throw ValidationError(
          "\(option) has no effect beside --rank, which says which photos to label and no more.")
      }
    }
    if rank != nil, !threshold.isEmpty {
      throw ValidationError(
        "--threshold has no effect beside --rank, which says which photos to label and no more.")
    }
    guard !logits || global.json || format == .json else {
      throw ValidationError(
        "--logits has no effect without --json: the other formats leave them out.")
    }
    guard coverage != nil || !coveragePerClass else {
      throw ValidationError(
        "--coverage-per-class has no effect without --coverage, such as --coverage 0.9.")
    }
    if let coverage, !(coverage > 0 && coverage < 1) {
      throw ValidationError("--coverage is \(coverage), expected above 0 and below 1, such as 0.9.")
    }
    if global.json, let format, format != .json {
      throw ValidationError("--json and --format \(format.rawValue) contradict each other.")
    }
  }

  func run() throws {
    if let output { try OutputCheck.check(output, inputs: images + [FilePath(model)]) }
    let session = Session(global)
    var settings = Recipe().evaluate
    try testTime.apply(to: &settings)
    if let rank { return try rankPhotos(by: rank, settings, session) }
    var options = PredictStage.Options()
    (options.top, options.tta, options.withLogits) = (top ?? 5, settings.tta, logits)
    (options.coverage, options.unknown) = (coverage, unknown)
    options.coversEachClass = coveragePerClass
    options.thresholds.given = try ThresholdOptions.given(threshold)
    let (predictions, failures) = try PredictStage(context: try session.context()).predict(
      images, model: foreign.reference(model, snapshots: settings.snapshots), options: options)
    let result: PrintedResult =
      switch global.json ? .json : format ?? .text {
      case .json: .document(try JSONText.of(predictions) + "\n")
      case .csv: .document(csv(predictions))
      case .text: .text(lines(predictions))
      }
    try write(result, failures)
  }

  private func rankPhotos(
    by order: LabelQueue.Order, _ settings: Recipe.Evaluate, _ session: Session
  ) throws {
    let (photos, failures) = try RankStage(context: try session.context()).rank(
      images, model: foreign.reference(model, snapshots: settings.snapshots), by: order,
      count: count ?? 100, tta: settings.tta)
    let result: PrintedResult =
      switch global.json ? .json : format ?? .text {
      case .json: .document(try JSONText.of(photos) + "\n")
      case .csv: .document(RankStage.csv(photos))
      case .text: .text(RankStage.text(photos))
      }
    try write(result, failures)
  }

  private func write(_ result: PrintedResult, _ failures: [PredictStage.Failure]) throws {
    if let output { try deliver(result, to: output) } else { try standardOutput(result) }
    for failure in failures {
      OutputSink.standardError.write(
        message: "\(failure.path): \(failure.reason)", label: "error: ")
    }
    if !failures.isEmpty { throw ExitCode(65) }
  }

  private func csv(_ predictions: [PredictStage.Prediction]) -> String {
    let saysUnknown = unknown == .flag || unknown == .label
    var table = CSVWriter(
      header: ["path", "label", "probability"] + (saysUnknown ? ["unknown", "unknown_score"] : [])
        + (coverage == nil ? [] : ["set"]))
    for one in predictions {
      let more =
        (saysUnknown
          ? [one.unknown.map { $0 ? "1" : "0" } ?? "", one.unknownScore.map { "\($0)" } ?? ""] : [])
        + (coverage == nil ? [] : [(one.set ?? []).joined(separator: "|")])
      if let label = one.label {
        table.append([one.path, label, one.probability.map { "\($0)" } ?? ""] + more)
      }
      // Several labels: a row for each, and an empty one for a photo that has none.
      guard let labels = one.labels else { continue }
      for label in labels { table.append([one.path, label.label, "\(label.probability)"] + more) }
      if labels.isEmpty { table.append([one.path, "", ""] + more) }
    }
    return table.text
  }

  /// One line a photo: a line end in a class's name is written out.
  private func lines(_ predictions: [PredictStage.Prediction]) -> String {
    predictions.map { one in "\(VisibleText.escape(one.path))  \(answer(one))\(remarks(one))\n" }
      .joined()
  }

  private func answer(_ one: PredictStage.Prediction) -> String {
    if one.unknown == true, unknown == .label {
      return "\(PredictStage.unknownLabel); most probable: \(text(Array(one.top.prefix(1))))"
    }
    if one.undecided == true, one.label == ModelThresholds.undecidedLabel {
      return "\(ModelThresholds.undecidedLabel); most probable: \(text(Array(one.top.prefix(1))))"
    }
    if let label = one.label, let probability = one.probability, label != one.top.first?.label {
      // Thresholds decided for another than the most probable class.
      return VisibleText.escape(label)
        + " \(ThawConsole.Format.percent(Double(probability), separator: " ")) by its threshold; all: "
        + text(one.top.filter { $0.probability >= 0.001 })
    }
    if let labels = one.labels {
      let found = labels.isEmpty ? "no label; most probable: " : ""
      return found + text(labels.isEmpty ? Array(one.top.prefix(1)) : labels)
    }
    return text(one.top.filter { $0.probability >= 0.001 || $0.label == one.label })
  }

  private func remarks(_ one: PredictStage.Prediction) -> String {
    var remarks = ""
    if let set = one.set, let coverage {
      let share = ThawConsole.Format.percent(coverage, separator: " ")
      remarks += "; \(share) set: \(set.map { VisibleText.escape($0) }.joined(separator: " or "))"
    }
    if one.unknown == true, let score = one.unknownScore, let threshold = one.unknownThreshold {
      remarks +=
        "; unlike anything it was trained on (score \(ThawConsole.Format.fixed(Double(score), 2)), 19 of 20"
        + " validation photos are below \(ThawConsole.Format.fixed(Double(threshold), 2)))"
    }
    return remarks
  }

  private func text(_ ranked: [PredictStage.Ranked]) -> String {
    ranked.map {
      VisibleText.escape($0.label)
        + " \(ThawConsole.Format.percent(Double($0.probability), separator: " "))"
    }.joined(separator: ", ")
  }
}

extension PredictStage.UnknownPhotos: ExpressibleByArgument {}
extension LabelQueue.Order: ExpressibleByArgument {}

extension RankStage {
  /// A row a photo.
  fileprivate static func csv(_ photos: [Ranked]) -> String {
    var table = CSVWriter(header: [
      "rank", "path", "label", "probability", "uncertainty", "entropy", "distance", "copies",
    ])
    for one in photos {
      table.append([
        "\(one.rank)", one.path, one.label, "\(one.probability)", "\(one.uncertainty)",
        "\(one.entropy)", one.distance.map { "\($0)" } ?? "", one.copies.joined(separator: "|"),
      ])
    }
    return table.text
  }

  /// A line a photo.
  fileprivate static func text(_ photos: [Ranked]) -> String {
    photos.map { one in
      let copies = one.copies.isEmpty ? "" : "; \(counted(one.copies.count, "copy", "copies"))"
      let unlike = one.unknown == true ? "; unlike anything it was trained on" : ""
      return
        "\(one.rank)  \(one.path)  uncertainty \(ThawConsole.Format.fixed(one.uncertainty, 3)),"
        + " perhaps \(VisibleText.escape(one.label))"
        + " \(ThawConsole.Format.percent(Double(one.probability), separator: " "))\(unlike)\(copies)\n"
    }.joined()
  }
}
