// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import SystemPackage
import ThawRecipes
import ThawRuns

/// A recipe and what the command line changes in it. Precedence: flag, `--recipe`, the run's recipe,
/// the defaults.
struct RecipeOptions: ParsableArguments {
  @Option(help: "Recipe file, or the name of one that came with thaw (Pipelines/*.yml).")
  var recipe: FilePath?

  @Option(help: "Name of the pretrained backbone (thaw pretrained list).")
  var backbone: String?

  @Option(help: "Side of the network's input in pixels.")
  var size: Int?

  @Option(name: .customLong("valid"), help: "Share of photos held out, without a valid folder.")
  var validShare: Double?

  @Option(
    name: .customLong("test"), help: "Share of photos kept for testing, without a test folder.")
  var testShare: Double?

  @Option(help: "What to do about photos that cannot be decoded: stop or skip.")
  var onBadImage: Recipe.Data.BadImagePolicy?

  @Option(help: "Width of a hidden layer in the head; 0 for none.")
  var hidden: Int?

  @Option(help: "Probability of dropping a feature in training.")
  var dropout: Double?

  @Option(help: "Batch norms of the frozen backbone: a mode, or a system whose way is meant.")
  var frozenBatchNorm: FrozenBatchNorm?

  @Option(help: "Numbers of the feature cache in training: float32, or float16 for half the disk.")
  var cache: Recipe.CachePrecision?

  @Flag(
    inversion: .prefixedNo,
    help: "Whether fit thaws the backbone after the head is trained (default: the recipe's).")
  var fineTune: Bool?

  /// How the head is trained.
  @OptionGroup(title: "Training of the head") var training: TrainingOptions

  /// The recipe in force for `run`, with these options applied.
  func resolved(run: RunDirectory, seed: UInt64?) throws -> Recipe {
    var result = try run.startingRecipe(recipe?.recipeFile())
    if let seed { result.seed = seed }
    apply(to: &result)
    try training.apply(to: &result.train, highest: result.train.rate)
    return try result.checked()
  }

  private func apply(to recipe: inout Recipe) {
    if let backbone { recipe.backbone = backbone }
    if let size { recipe.image.size = size }
    if let validShare { recipe.data.valid = validShare }
    if let testShare { recipe.data.test = testShare }
    if let onBadImage { recipe.data.onBadImage = onBadImage }
    if let hidden { recipe.head.hidden = hidden == 0 ? nil : hidden }
    if let dropout { recipe.head.dropout = dropout }
    if let cache { recipe.cache = cache }
    if let fineTune { recipe.fineTune.enabled = fineTune }
    if let frozenBatchNorm { recipe.head.frozenBatchNorm = frozenBatchNorm.mode }
  }
}
