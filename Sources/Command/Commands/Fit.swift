// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import SystemPackage
import ThawConsole
import ThawFiles
import ThawInference
import ThawPlanning
import ThawRanks
import ThawRecipes
import ThawReports
import ThawRuns
import ThawSearch
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
      "Finish in about so many minutes: chooses size, head, schedule and epochs by what fits. (default: no limit)"
  )
  var minutes: Double?

  @Option(
    help:
      "Judge every photo once by a head that has not seen it, in so many parts; says what more photos would bring. (default: not)"
  )
  var folds: Int?

  @OptionGroup(title: "Several looks, several models", visibility: .hidden) var testTime:
    TestTimeOptions
  @OptionGroup var recipe: RecipeOptions
  @OptionGroup(title: "Memory") var memory: MemoryOptions
  @OptionGroup(title: "Every command") var global: GlobalOptions

  func validate() throws {
    if let minutes, !(minutes > 0 && minutes.isFinite) {
      throw ValidationError("--minutes: '\(minutes)' is not a number above 0.")
    }
    if let folds { try CrossValidate.check(folds) }
  }

  func run() throws {
    let session = Session(global, memory: memory.bytes)
    let directory = try newRun.directory(for: data)
    let context = try session.context()
    var recipe = try recipe.resolved(
      run: directory, seed: global.seed, console: session.console)
    try testTime.apply(to: &recipe.evaluate)
    let planner = try planned(&recipe, directory, session).map(FitPlanner.init)
    recipe.backbone = try chosenBackbone(recipe, directory, context)
    let stages = Stages(isFineTuned: recipe.fineTune.enabled)
    let result = try FitStage(directory, context: context).fit(
      data, recipe: recipe, requests: self.recipe.requests, planner: planner,
      unlabelled: UnlabelledPhotos(), onBegin: { stages.heading(of: $0).map(session.console.head) },
      onPrepared: {
        // Not only when everything is trained.
        if folds != nil { try CrossValidationStage.check(severalLabels: $0.severalLabels) }
        guard !global.json && !global.quiet && !$0.unchanged else { return }
        session.console.show($0.text)
      }, onPlan: { session.console.show($0.text) })
    guard let folds else {
      return try session.print(result, text: result.text(recipe.evaluate.tta))
    }
    session.console.head("\nJudging every photo once")
    let open = try OpenRun(directory, context: context)
    let judged = try CrossValidationStage(open, folds: folds).judge()
    _ = try ReportStage(open).write()
    try session.print(
      CrossValidatedFit(fit: result, crossValidation: judged),
      text: result.text(recipe.evaluate.tta) + "\n\n" + judged.text)
  }

  /// The minutes of the option or the recipe, which then has none: what is planned takes their place.
  private func planned(
    _ recipe: inout Recipe, _ directory: RunDirectory, _ session: Session
  ) throws -> Double? {
    let minutes = minutes ?? recipe.minutes
    recipe.minutes = nil
    guard let minutes else {
      if let remark = FitPlanner.remark(on: recipe, in: directory) { session.console.say(remark) }
      return nil
    }
    guard minutes > 0 else { throw PipelineError.usage("minutes is \(minutes), expected above 0.") }
    guard !RankGroup.current.hasOthers else {
      throw PipelineError.usage(
        "--minutes is planned on one rank alone. Start it without the launcher, or leave --minutes out."
      )
    }
    return minutes
  }

  /// The recipe's pretrained network, or for `auto` the one of those whose weights are here that serves the
  /// photos best.
  private func chosenBackbone(
    _ recipe: Recipe, _ directory: RunDirectory, _ context: StageContext
  ) throws -> String {
    guard recipe.backbone == "auto" else { return recipe.backbone }
    let store = context.pretrained
    let names = try store.cards().filter { store.hasWeights(of: $0) }.map(\.name).sorted()
    guard let first = names.first else {
      throw PipelineError.usage(
        "--backbone auto chooses among networks whose weights are here, and there are none. Fetch some:"
          + " thaw pretrained fetch NAME")
    }
    guard names.count > 1 else { return first }
    // Equally good ones are told apart by their speed, which is another each time: what a head was trained on
    // stays.
    if FileSystem.exists(directory.headModel), let former = try? directory.loadRecipe().backbone,
      names.contains(former)
    {
      context.console.say(
        "The backbone stays \(former), on which this run has a head; a new run compares anew.")
      return former
    }
    var scratch = recipe
    scratch.backbone = first
    _ = try PrepareStage(directory, context: context).prepare(
      data, recipe: scratch, requests: self.recipe.requests)
    let run = try OpenRun(directory, context: context)
    let rows = try BackboneComparison(run).compare(names)
    let choice = BackboneComparison.choice(rows) ?? first
    context.console.say(BackboneComparison.text(rows) + "Taken: \(choice)")
    return choice
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

/// What `thaw fit --folds --json` prints: what it prints without, and `cross_validation`.
private struct CrossValidatedFit: Encodable {
  let fit: FitStage.Summary
  let crossValidation: CrossValidationResult

  private enum CodingKeys: String, CodingKey { case crossValidation }

  func encode(to encoder: any Encoder) throws {
    try fit.encode(to: encoder)
    var container = encoder.container(keyedBy: CodingKeys.self)
    try container.encode(crossValidation, forKey: .crossValidation)
  }
}

extension FitStage.Summary {
  /// The result and what to do with it, for people.
  func text(_ look: Recipe.TestTime) -> String {
    let places = "Model: \(model)\nReport: \(report)"
    if isUnchanged {
      return "The model is up to date: \(ResultWords(evaluate).sentence).\n\(places)"
    }
    let lines = [train.text, fineTune?.text, plan?.text].compactMap { $0 }.joined(separator: "\n")
    // `thaw diagnose fit` compares classes of which a photo has one.
    let better =
      advice ?? (evaluate.severalLabels ? nil : "thaw diagnose fit --run \(ShellWord.quote(run))")
    return """
      \(lines)

      \(evaluate.text(look, caution: caution, isFirstLook: true))
      \(places)

      Try it:      thaw predict --model \(ShellWord.quote(model)) PHOTO
      Look at it:  xdg-open \(ShellWord.quote(report))\(better.map { "\nBetter:      \($0)" } ?? "")
      """
  }
}

extension FitPlanSummary {
  /// How much of the time was used, for people.
  fileprivate var text: String {
    "\(Format.duration(seconds: seconds)) of \(Format.duration(seconds: 60 * minutes)); the recipe that repeats"
      + " it without a clock: \(recipe)"
  }
}
