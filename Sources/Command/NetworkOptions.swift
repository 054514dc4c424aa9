// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import SystemPackage
import ThawConsole
import ThawFiles
import ThawRecipes
import ThawRuns

/// A recipe, and what the command line changes in it for the network and its head.
struct NetworkOptions: ParsableArguments {
  @Option(
    help: "Recipe file, or the name of one that came with thaw (Pipelines/*.yml).",
    completion: Completions.recipes)
  var recipe: FilePath?

  @Option(.backbone) var backbone: RecipeArgument<Recipe>?
  @Option(.size) var size: RecipeArgument<Recipe.Image>?
  @OptionGroup(title: "Pixels", visibility: .hidden) var pixels: PixelOptions
  @OptionGroup(title: "Head, precision and feature cache", visibility: .hidden)
  var head: HeadOptions

  func validate() throws {
    var scratch = Recipe()
    try refusing { try apply(to: &scratch) }
  }

  /// The recipe in force for `run`. Precedence: `--recipe`, the run's recipe, the defaults.
  func base(run: RunDirectory, seed: UInt64?) throws -> Recipe {
    var result = try run.startingRecipe(recipe?.foundRecipeFile())
    if let seed { result.seed = seed }
    return result
  }

  /// Says which keys of the file that `--recipe` names change nothing.
  func warnOfIdleKeys(_ result: Recipe, console: Console) {
    guard let recipe else { return }
    for sentence in result.keysWithoutEffect { console.warn("\(recipe.displayed): \(sentence).") }
  }

  /// Changes what was given.
  func apply(to recipe: inout Recipe) throws {
    try backbone?.apply(to: &recipe)
    try size?.apply(to: &recipe.image)
    try pixels.apply(to: &recipe.image)
    try head.apply(to: &recipe)
  }
}

/// How the pixels of a photo are read.
struct PixelOptions: ParsableArguments {
  @Option(.colorProfiles) var colorProfiles: RecipeArgument<Recipe.Image>?
  @Option(.sixteenBit) var sixteenBit: RecipeArgument<Recipe.Image>?
  @Option(.maxPixels) var maxPixels: RecipeArgument<Recipe.Image>?

  func validate() throws {
    try refusing {
      for argument in [colorProfiles, sixteenBit, maxPixels] {
        try argument?.check(in: Recipe().image)
      }
    }
  }

  /// Changes what was given.
  func apply(to image: inout Recipe.Image) throws {
    for argument in [colorProfiles, sixteenBit, maxPixels] { try argument?.apply(to: &image) }
  }
}

/// The new head, and how features for it are kept.
struct HeadOptions: ParsableArguments {
  @Option(.hidden) var hidden: RecipeArgument<Recipe.Head>?
  @Option(.dropout) var dropout: RecipeArgument<Recipe.Head>?
  @Option(.precision) var precision: RecipeArgument<Recipe>?
  @Option(.cache) var cache: RecipeArgument<Recipe>?
  @OptionGroup var frozen: FrozenBatchNormOptions

  /// Changes what was given.
  func apply(to recipe: inout Recipe) throws {
    try hidden?.apply(to: &recipe.head)
    try dropout?.apply(to: &recipe.head)
    try precision?.apply(to: &recipe)
    try cache?.apply(to: &recipe)
  }

  /// Fails on a setting that nothing reads.
  ///
  /// - Parameter stages: the trainings to come.
  func refuseIdle(_ recipe: Recipe, stages: [TrainingStage]) throws {
    if dropout != nil, recipe.train.solver == .lbfgs, stages == [.head] {
      throw ValidationError("--dropout has no effect: lbfgs drops nothing.")
    }
  }
}
