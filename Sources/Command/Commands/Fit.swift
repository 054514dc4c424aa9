// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import SystemPackage
import ThawRecipes
import ThawRuns

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
    let result = try FitStage(directory, context: context).fit(
      data, recipe: recipe,
      onPrepared: {
        if !global.json && !global.quiet { try standardOutput(.text($0.text + "\n")) }
      }, onPlan: { session.console.show($0.text) })
    let lines = [
      result.train.text, result.fineTune?.text, result.evaluate.text(recipe.evaluate.tta),
    ].compactMap { $0 }
    try session.print(
      result,
      text: lines.joined(separator: "\n") + "\nModel: \(result.model)\nReport: \(result.report)")
  }
}
