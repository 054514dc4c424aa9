// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Backbones
import Pipeline
import SystemPackage
import Training

/// `thaw fit`
struct Fit: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Every stage at good defaults: from a folder of photos to a model and a report.")

  @Argument(help: "Folder with one sub-folder per class, or with train/valid/test above them.")
  var data: FilePath

  @Option(name: .customLong("run"), help: "Run directory; created if needed.")
  var directory: RunDirectory

  @Option(help: "Views of each photo whose probabilities are averaged in the evaluation.")
  var tta: Int?

  @OptionGroup(title: "Recipe") var recipe: RecipeOptions
  @OptionGroup(title: "Every command") var global: GlobalOptions

  func run() throws {
    let session = Session(global)
    let context = try session.context()
    var recipe = try recipe.resolved(run: directory, seed: global.seed)
    if let tta { recipe.evaluate.tta = tta }
    let prepared = try PrepareStage(directory, context: context).prepare(
      data, recipe: recipe)
    if !global.json && !global.quiet { try standardOutput(prepared.text + "\n") }
    let card = try context.pretrained.card(named: recipe.backbone)
    try context.pretrained.fetch(
      card, report: { session.console.say($0) }, checkpoint: { try Interruption.check() })
    let cached = try CacheStage(directory, context: context).fill()
    let trained = try TrainStage(directory, context: context).train()
    let stage = EvaluateStage(context: context)
    let evaluation = try stage.evaluate(directory, split: nil, tta: recipe.evaluate.tta)
    let report = try ReportStage(directory, context: context).write()
    let result = Summary(
      run: directory.path.string, model: directory.model.string, prepare: prepared, cache: cached,
      train: trained, evaluate: evaluation, report: report.report)
    try session.print(
      result,
      text: "\(trained.text)\n\(evaluation.text)\nModel: \(result.model)\nReport: \(result.report)")
  }

  /// What every stage reported.
  struct Summary: Encodable {
    let run: String
    let model: String
    let prepare: PrepareStage.Summary
    let cache: CacheStage.Summary
    let train: TrainStage.Summary
    let evaluate: Evaluation
    let report: String
  }
}
