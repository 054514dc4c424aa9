// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import SystemPackage
import ThawConsole
import ThawFiles
import ThawRecipes
import ThawRuns
import ThawSearch

/// `thaw train`
struct Train: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Train a new head on the cached features and write the model file.")

  @Option(name: .customLong("run"), help: "Run directory.")
  var directory: RunDirectory

  @Option(.unlabelled) var unlabelled: RecipeArgument<Recipe.Data>?
  @OptionGroup(title: "Recipe and network") var network: NetworkOptions
  @OptionGroup(title: "Training of the head") var training: TrainingOptions
  @OptionGroup(title: "Memory") var memory: MemoryOptions
  @OptionGroup(title: "Every command") var global: GlobalOptions

  func run() throws {
    let session = Session(global, memory: memory.bytes)
    let prepared = try session.open(directory)
    let recipe = try resolved()
    network.warnOfIdleKeys(recipe, console: session.console)
    let run = prepared.with(recipe)
    try run.requireValidationPhotos(forPatience: training.patience != nil)
    run.saySeedOfSplit()
    try run.saveRecipe()
    let summary = try TrainStage(run, unlabelled: UnlabelledPhotos()).train()
    if !summary.unchanged, let advice = try directory.advice {
      session.console.say("hint: \(advice)")
    }
    try session.print(summary, text: summary.text)
  }

  private func resolved() throws -> Recipe {
    var recipe = try network.base(run: directory, seed: global.seed)
    try network.apply(to: &recipe)
    if let unlabelled {
      try unlabelled.apply(to: &recipe.data)
      recipe.data.unlabelled = PhotoOptions.absolute(recipe.data.unlabelled)
    }
    _ = try StageSettings(
      network.head.frozen.settings() + training.settings(), stages: [.head],
      usualRate: { _, recipe in recipe.train.rate }
    ).apply(to: &recipe)
    try network.head.refuseIdle(recipe, stages: [.head])
    return try recipe.checked()
  }
}

extension TrainStage.Summary {
  /// One line for people.
  var text: String {
    if unchanged { return "The model is up to date." }
    let accuracy =
      bestValidAccuracy.map {
        ", valid \(severalLabels ? "all labels right" : "accuracy") \(Format.percent($0))"
      } ?? ""
    let passes = epochs > 0 ? "\(counted(epochs, "epoch")) in " : ""
    return "Trained \(Format.grouped(trainableParameters, separator: " ")) parameters: \(passes)"
      + "\(Format.duration(seconds: seconds))\(accuracy)."
  }
}
