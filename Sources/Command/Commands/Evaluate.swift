// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import SystemPackage
import ThawConsole
import ThawDatasets
import ThawRecipes
import ThawReports
import ThawRuns
import ThawTraining

/// `thaw evaluate`
struct Evaluate: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Judge a model on photos it was not trained on.",
    discussion: """
      Either the model of a run on the run's own split, or any model file (or the name of a \
      pretrained backbone) on a folder of photos.
      """)

  @OptionGroup var subject: SubjectOptions

  @Option(help: "train, valid or test (default: test if there is one, else valid).")
  var split: Split?

  @OptionGroup(title: "Several looks, several models") var testTime: TestTimeOptions

  @OptionGroup(title: "Thresholds and costs") var thresholds: ThresholdOptions

  @OptionGroup var renaming: RenamingOptions

  @Option(
    help: "With --model: stop at photos that cannot be decoded, or skip them (default: stop).")
  var onBadImage: Recipe.Data.BadImagePolicy?

  @OptionGroup(title: "Every command") var global: GlobalOptions

  func validate() throws {
    guard subject.model != nil || (renaming.rename.isEmpty && onBadImage == nil) else {
      throw ValidationError("--rename and --on-bad-image belong to --model.")
    }
  }

  /// Whether it judges the model of a run.
  var isOfRun: Bool { subject.model == nil }

  func run() throws {
    let session = Session(global)
    let context = try session.context()
    let stage = EvaluateStage(context: context)
    let run = try subject.directory.map { try OpenRun($0, context: context) }
    var settings = run?.recipe.evaluate ?? Recipe().evaluate
    try testTime.apply(to: &settings)
    let decisions = EvaluateStage.Decisions(
      thresholds: try thresholds.request(), stores: thresholds.storeThresholds,
      costs: thresholds.costs)
    let result: Evaluation
    if let run {
      result = try stage.evaluate(
        run, split: split, tta: settings.tta, snapshots: settings.snapshots, decisions: decisions)
    } else if case .model(let model, let data) = try subject.subject(
      snapshots: settings.snapshots)
    {
      result = try stage.evaluate(
        model, data: data, split: split, tta: settings.tta, renaming: try renaming.names(),
        policy: onBadImage ?? .stop, decisions: decisions)
    } else {
      throw ValidationError("Give either --run RUN, or --model FILE with --data DIR.")
    }
    let words = try run?.words(for: result) ?? ResultWords(result, validationChose: false)
    try session.print(result, text: result.text(settings.tta, caution: words.caution))
  }
}

extension Evaluation {
  /// A summary, the metrics of each class and the confusion matrix, for people.
  ///
  /// - Parameters:
  ///   - look: how each photo was looked at.
  ///   - caution: what speaks against the number; nil when nothing does.
  ///   - isFirstLook: whether somebody sees the result of a training for the first time: how far
  ///     probabilities can be believed stands in the report then.
  func text(_ look: Recipe.TestTime, caution: String?, isFirstLook: Bool = false) -> String {
    guard let whole = self.matrix else { return labelsText(look, caution: caution) }
    let matrix = whole.restricted(to: whole.present)
    let interval = accuracyInterval
    let words = ResultWords(self)
    var lines = [
      words.sentence + (look.count > 1 ? ", \(look.name)" : "")
        + " (95 % interval \(Format.percent(interval.lowerBound)) to"
        + " \(Format.percent(interval.upperBound)))",
      "loss \(Format.fixed(loss, 4)), macro F1 \(Format.fixed(macroF1, 3))"
        + (auc.map { ", AUC \(Format.fixed($0, 3))" } ?? ""),
    ]
    if let pictures = words.pictures { lines.append(pictures) }
    if let calibration, !isFirstLook { lines += calibration.lines(whole.classNames) }
    lines += ["", matrix.metricsText(width: OutputSink.tableColumns)]
    if matrix.classNames.count <= 12 { lines.append(matrix.text(width: OutputSink.tableColumns)) }
    lines += decisionLines
    if let caution { lines.append(caution + "\n") }
    return lines.joined(separator: "\n")
  }
}

extension CalibrationResult {
  /// How far probabilities can be believed, and what sets of labels keep of their promise.
  fileprivate func lines(_ classNames: [String]) -> [String] {
    var lines = [
      "probabilities are off by \(Format.percent(after.expectedError)) on average, before calibration by"
        + " \(Format.percent(before.expectedError)) (expected calibration error; temperature"
        + " \(Format.fixed(temperature.value, 3))\(isOfSamePhotos ? ", which these photos chose" : ""))"
    ]
    func said(_ sets: SetCoverage) -> String {
      "\(Format.percent(sets.coverage)) contain the label, with \(Format.fixed(sets.size, 2)) labels on average"
        + (sets.leastText(classNames).map { "; least of \($0)" } ?? "")
    }
    if let nine = sets.first(where: { $0.asked == 0.9 }) {
      lines.append(
        "sets for a coverage of 90 %: \(said(nine))"
          + (nine.ownHalves ? " (each half of the photos judged by the other)" : ""))
    }
    if let nine = classSets?.first(where: { $0.asked == 0.9 }) {
      lines.append("the same with --coverage-per-class: \(said(nine))")
    }
    if let caution { lines.append(caution) }
    return lines
  }
}
