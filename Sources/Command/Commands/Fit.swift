// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import SystemPackage
import ThawFiles
import ThawRecipes
import ThawReports
import ThawRuns
import ThawTraining

/// `thaw fit`
struct Fit: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Every stage at good defaults: from a folder of photos to a model and a report.",
    discussion: RecipeOptions.discussion)

  @Argument(
    help:
      "Folder with one sub-folder per class, or with train/valid/test above them; a zip or tar file of one."
  )
  var data: FilePath

  @OptionGroup var newRun: NewRunOptions

  @Option(
    help:
      "Finish in about so many minutes: fine-tuning has as many of its epochs as fit. (default: no limit)"
  )
  var minutes: Double?

  @OptionGroup(title: "Several looks, several models", visibility: .hidden) var testTime:
    TestTimeOptions
  @OptionGroup var recipe: RecipeOptions
  @OptionGroup(title: "Every command") var global: GlobalOptions

  func validate() throws {
    if let minutes, !(minutes > 0 && minutes.isFinite) {
      throw ValidationError("--minutes: '\(minutes)' is not a number above 0.")
    }
  }

  func run() throws {
    let session = Session(global)
    let directory = try newRun.directory(for: data)
    let context = try session.context()
    var recipe = try recipe.resolved(
      run: directory, seed: global.seed, console: session.console)
    try testTime.apply(to: &recipe.evaluate)
    let stages = Stages(isFineTuned: recipe.fineTune.enabled)
    let result = try FitStage(directory, context: context).fit(
      data, recipe: recipe, requests: self.recipe.requests, minutes: minutes,
      onBegin: { stages.heading(of: $0).map(session.console.head) },
      onPrepared: {
        guard !global.json && !global.quiet && !$0.unchanged else { return }
        session.console.show($0.text)
      }, onPlan: { session.console.show($0.text) })
    try session.print(
      result, text: result.text(recipe.evaluate.tta))
  }

  /// The stages that a person sees, numbered.
  private struct Stages {
    let isFineTuned: Bool

    /// The line above what a stage has to say; nil where it goes on with the one before.
    func heading(of part: FitStage.Part) -> String? {
      let titles: [(FitStage.Part, String)] =
        [(.prepare, "Looking at the photos"), (.fetch, "Training a head on the frozen backbone")]
        + (isFineTuned ? [(.fineTune, "Fine-tuning the backbone")] : [])
        + [(.evaluate, "Judging the model"), (.report, "Writing the report")]
      guard let index = titles.firstIndex(where: { $0.0 == part }) else { return nil }
      return "\n\(index + 1)/\(titles.count) \(titles[index].1)"
    }
  }
}

extension FitStage.Summary {
  /// The result and what to do with it, for people.
  func text(_ look: Recipe.TestTime) -> String {
    let places = "Model: \(model)\nReport: \(report)"
    if isUnchanged {
      return "The model is up to date: \(ResultWords(evaluate).sentence).\n\(places)"
    }
    let lines = [train.text, fineTune?.text].compactMap { $0 }.joined(separator: "\n")
    // `thaw diagnose fit` compares classes of which a photo has one.
    let better =
      advice ?? (evaluate.severalLabels ? nil : "thaw diagnose fit --run \(ShellWord.quote(run))")
    return """
      \(lines)

      \(evaluate.text(look, caution: caution))
      \(places)

      Try it:      thaw predict --model \(ShellWord.quote(model)) PHOTO
      Look at it:  xdg-open \(ShellWord.quote(report))\(better.map { "\nBetter:      \($0)" } ?? "")
      """
  }
}
