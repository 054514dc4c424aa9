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
      Either the model of a run on the run's own split, or any model file (or the name of a
      pretrained backbone) on a folder of photos.
      """)

  @Option(name: .customLong("run"), help: "Run directory.")
  var directory: RunDirectory?

  @Option(help: "Model file, checkpoint, or the name of a pretrained backbone.")
  var model: String?

  @OptionGroup var foreign: ForeignModelOptions

  @Option(help: "With --model: folder with one sub-folder per class.")
  var data: FilePath?

  @Option(help: "train, valid or test (default: test if there is one, else valid).")
  var split: Split?

  @OptionGroup(title: "Several looks, several models") var testTime: TestTimeOptions

  @OptionGroup var renaming: RenamingOptions

  @Option(help: "With --model: stop at photos that cannot be decoded, or skip them.")
  var onBadImage = Recipe.Data.BadImagePolicy.stop

  @OptionGroup(title: "Every command") var global: GlobalOptions

  func validate() throws {
    guard (directory == nil) != (model == nil) else { throw Evaluate.neitherOrBoth }
    guard model != nil || (foreign.card == nil && foreign.classNames == nil) else {
      throw ValidationError("--card and --class-names belong to --model.")
    }
    guard (model == nil) == (data == nil) else {
      throw ValidationError("--model and --data belong together.")
    }
  }

  func run() throws {
    let session = Session(global)
    let context = try session.context()
    let stage = EvaluateStage(context: context)
    let result: Evaluation
    let look: Recipe.TestTime
    if let directory {
      let run = try OpenRun(directory, context: context)
      var settings = run.recipe.evaluate
      testTime.apply(to: &settings.tta)
      look = settings.tta
      result = try stage.evaluate(
        run, split: split, tta: look,
        snapshots: testTime.snapshots || settings.snapshots)
    } else if let model, let data {
      var asked = Recipe.TestTime()
      testTime.apply(to: &asked)
      look = asked
      result = try stage.evaluate(
        foreign.reference(model, snapshots: testTime.snapshots), data: data, split: split,
        tta: look,
        renaming: try renaming.names(), policy: onBadImage)
    } else {
      throw Evaluate.neitherOrBoth
    }
    try session.print(result, text: result.text(look))
  }

  private static let neitherOrBoth = ValidationError(
    "Give either --run RUN, or --model FILE with --data DIR.")
}

extension Evaluation {
  /// A summary, the metrics of each class and the confusion matrix, for people.
  ///
  /// - Parameter look: how each photo was looked at.
  func text(_ look: Recipe.TestTime) -> String {
    let matrix = self.matrix.restricted(to: self.matrix.present)
    let interval = accuracyInterval
    var lines = [
      "\(split): \(count) photos,\(look.count > 1 ? " \(look.name)," : "") accuracy \(Format.percent(accuracy))"
        + " (95 % interval \(Format.percent(interval.lowerBound)) to"
        + " \(Format.percent(interval.upperBound))), loss \(Format.fixed(loss, 4)),"
        + " macro F1 \(Format.fixed(macroF1, 3))"
        + (auc.map { ", AUC \(Format.fixed($0, 3))" } ?? ""),
      "", matrix.metricsText(),
    ]
    if matrix.classNames.count <= 12 { lines.append(matrix.text()) }
    return lines.joined(separator: "\n")
  }
}
