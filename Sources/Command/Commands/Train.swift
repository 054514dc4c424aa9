// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import SystemPackage
import ThawConsole
import ThawFiles
import ThawRecipes
import ThawRuns

/// `thaw train`
struct Train: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Train a new head on the cached features and write the model file.")

  @Option(name: .customLong("run"), help: "Run directory.")
  var directory: RunDirectory

  @OptionGroup(title: "Recipe") var recipe: RecipeOptions
  @OptionGroup(title: "Every command") var global: GlobalOptions

  func run() throws {
    let session = Session(global)
    let prepared = try session.open(directory)
    let run = prepared.with(try recipe.resolved(run: directory, seed: global.seed))
    try run.saveRecipe()
    let summary = try TrainStage(run).train()
    try session.print(summary, text: summary.text)
  }
}

extension TrainStage.Summary {
  /// One line for people.
  var text: String {
    if unchanged { return "The model is up to date." }
    let accuracy = bestValidAccuracy.map { ", valid accuracy \(Format.percent($0))" } ?? ""
    let passes = epochs > 0 ? "\(epochs) epochs in " : ""
    return "Trained \(Format.grouped(trainableParameters, separator: " ")) parameters: \(passes)"
      + "\(Format.duration(seconds: seconds))\(accuracy)."
  }
}
