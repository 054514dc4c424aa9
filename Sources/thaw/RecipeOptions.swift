// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Files
import Images
import Pipeline
import SystemPackage

/// A recipe and what the command line changes in it. Precedence: flag, `--recipe`, the run's recipe,
/// the defaults.
struct RecipeOptions: ParsableArguments {
  @Option(help: "Recipe file (Pipelines/*.yml).")
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

  @Option(help: "How the head is trained: sgd, adam or lbfgs.")
  var solver: Recipe.Train.Solver?

  @Option(help: "Passes over the training photos.")
  var epochs: Int?

  @Option(help: "Photos in one step.")
  var batch: Int?

  @Option(help: "The schedule's largest learning rate.")
  var learningRate: Double?

  @Option(help: "constant, cosine or sgdr.")
  var schedule: Recipe.Train.Schedule?

  @Option(help: "Pull of the weights towards zero.")
  var weightDecay: Double?

  @Option(help: "Width of a hidden layer in the head; 0 for none.")
  var hidden: Int?

  @Option(help: "Probability of dropping a feature in training.")
  var dropout: Double?

  @Option(help: "Batch norms of the frozen backbone: a mode, or a system whose way is meant.")
  var frozenBatchNorm: FrozenBatchNorm?

  @Option(help: "Share of the target spread over all classes.")
  var labelSmoothing: Double?

  @Option(help: "none, or balanced: every class counts the same.")
  var classWeights: Recipe.Train.ClassWeights?

  @Option(help: "How training photos are varied: none, photo, top-down or document.")
  var augmentation: Augmentation.Preset?

  @Option(help: "Augmented views of each training photo in the cache.")
  var views: Int?

  @Option(help: "Epochs without improvement before training stops; 0 never stops early.")
  var patience: Int?

  /// The recipe in force for `run`, with these options applied.
  func resolved(run: RunDirectory, seed: UInt64?) throws -> Recipe {
    var result = Recipe()
    if let recipe {
      let text = String(decoding: try FileSystem.read(recipe, limit: 1 << 20), as: UTF8.self)
      result = try Recipe(yaml: text, file: recipe.displayed)
    } else if FileSystem.exists(run.recipe) {
      result = try run.loadRecipe()
    } else {
      result.name = run.path.lastComponent?.string ?? "run"
    }
    if let seed { result.seed = seed }
    apply(to: &result)
    return try result.checked()
  }

  private func apply(to recipe: inout Recipe) {
    if let backbone { recipe.backbone = backbone }
    if let size { recipe.image.size = size }
    if let validShare { recipe.data.valid = validShare }
    if let testShare { recipe.data.test = testShare }
    if let onBadImage { recipe.data.onBadImage = onBadImage }
    if let solver { recipe.train.solver = solver }
    if let epochs { recipe.train.epochs = epochs }
    if let batch { recipe.train.batch = batch }
    if let learningRate { recipe.train.learningRate = learningRate }
    if let schedule { recipe.train.schedule = schedule }
    if let weightDecay { recipe.train.weightDecay = weightDecay }
    if let hidden { recipe.head.hidden = hidden == 0 ? nil : hidden }
    if let dropout { recipe.head.dropout = dropout }
    if let frozenBatchNorm { recipe.head.frozenBatchNorm = frozenBatchNorm.mode }
    if let labelSmoothing { recipe.train.labelSmoothing = labelSmoothing }
    if let classWeights { recipe.train.classWeights = classWeights }
    if let augmentation { recipe.train.augmentation = augmentation }
    if let views { recipe.train.views = views }
    if let patience { recipe.train.patience = patience }
  }
}
