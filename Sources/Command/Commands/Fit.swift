// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import SystemPackage
import ThawBackbones
import ThawConsole
import ThawInference
import ThawRecipes
import ThawRuns
import ThawTraining

/// `thaw fit`
struct Fit: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Every stage at good defaults: from a folder of photos to a model and a report.",
    discussion: RecipeOptions.discussion)

  @Argument(help: "Folder with one sub-folder per class, or with train/valid/test above them.")
  var data: FilePath

  @Option(name: .customLong("run"), help: "Run directory; created if needed.")
  var directory: RunDirectory

  @OptionGroup(title: "Several looks, several models") var testTime: TestTimeOptions
  @OptionGroup var recipe: RecipeOptions
  @OptionGroup(title: "Every command") var global: GlobalOptions

  func run() throws {
    let session = Session(global)
    let context = try session.context()
    var recipe = try recipe.resolved(
      run: directory, seed: global.seed, console: session.console)
    try testTime.apply(to: &recipe.evaluate)
    let prepared = try PrepareStage(directory, context: context).prepare(
      data, recipe: recipe)
    if !global.json && !global.quiet { try standardOutput(prepared.text + "\n") }
    // Before the first stage that needs them, so that a download's failure is told on its own.
    try context.pretrained.provide(try context.pretrained.card(named: recipe.backbone))
    let cached = try CacheStage(directory, context: context).fill()
    let trained = try TrainStage(directory, context: context).train()
    let tuned = try recipe.fineTune.enabled ? fineTune(context, session) : nil
    if tuned == nil { try TrainStage(directory, context: context).useHead() }
    let evaluation = try EvaluateStage(context: context).evaluate(directory, split: nil)
    let report = try ReportStage(directory, context: context).write()
    let result = Summary(
      run: directory.path.string, model: directory.model.string, prepare: prepared, cache: cached,
      train: trained, fineTune: tuned, evaluate: evaluation, report: report.report)
    let lines = [trained.text, tuned?.text, evaluation.text(recipe.evaluate.tta)].compactMap { $0 }
    try session.print(
      result,
      text: lines.joined(separator: "\n") + "\nModel: \(result.model)\nReport: \(result.report)")
  }

  private func fineTune(
    _ context: StageContext, _ session: Session
  ) throws -> FineTuneStage.Summary {
    let stage = FineTuneStage(directory, context: context)
    session.console.say(try stage.plan().text)
    return try stage.fineTune()
  }

  /// What every stage reported.
  struct Summary: Encodable {
    let run: String
    let model: String
    let prepare: PrepareStage.Summary
    let cache: CacheStage.Summary
    let train: TrainStage.Summary
    /// Nil when the backbone stayed frozen.
    let fineTune: FineTuneStage.Summary?
    let evaluate: Evaluation
    let report: String
  }
}
