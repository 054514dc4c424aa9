// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import SystemPackage
import ThawConsole
import ThawFiles
import ThawInference
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

  @Option(help: "How many classes to rank.")
  var top = 5

  @OptionGroup(title: "Several looks, several models") var testTime: TestTimeOptions

  @Option(
    help: ArgumentHelp(
      "Also give a set of labels that contains the right one with this probability, such as 0.9.",
      valueName: "probability"))
  var coverage: Double?

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
    guard top >= 1 else { throw ValidationError("--top is \(top), expected at least 1.") }
    guard !logits || global.json || format == .json else {
      throw ValidationError(
        "--logits has no effect without --json: the other formats leave them out.")
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
    var options = PredictStage.Options()
    (options.top, options.tta, options.withLogits) = (top, settings.tta, logits)
    (options.coverage, options.unknown) = (coverage, unknown)
    options.thresholds.given = try ThresholdOptions.given(threshold)
    let (predictions, failures) = try PredictStage(context: try session.context()).predict(
      images, model: foreign.reference(model, snapshots: settings.snapshots), options: options)
    let result: PrintedResult =
      switch global.json ? .json : format ?? .text {
      case .json: .document(try JSONText.of(predictions) + "\n")
      case .csv: .document(csv(predictions))
      case .text: .text(lines(predictions))
      }
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
