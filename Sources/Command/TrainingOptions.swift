// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import ThawFiles
import ThawRecipes

/// How layers are trained: the same options for the head and for thawed layers. A command that runs
/// both trainings takes one value for both, or `head:A,fine-tune:B`.
struct TrainingOptions: ParsableArguments {
  @Option(.solver) var solver: StageArgument?
  @Option(.epochs) var epochs: StageArgument?
  @Option(.batch) var batch: StageArgument?
  @Option(.accumulation) var accumulation: StageArgument?
  @Option(.shards) var shards: StageArgument?
  @Option(.learningRate) var learningRate: StageArgument?
  @Option(.layerDecay) var layerDecay: StageArgument?
  @Option(.momentum) var momentum: StageArgument?
  @Option(.weightDecay) var weightDecay: StageArgument?
  @Option(.gradientClip) var gradientClip: StageArgument?
  @Option(.weightAveraging) var weightAveraging: StageArgument?
  @Option(.schedule) var schedule: StageArgument?
  @Option(.cycleLength) var cycleLength: StageArgument?
  @Option(.cycleMult) var cycleMult: StageArgument?
  @Option(.warmUp) var warmUp: StageArgument?
  @Option(.labelSmoothing) var labelSmoothing: StageArgument?
  @Option(.classWeights) var classWeights: StageArgument?
  @Option(.augmentation) var augmentation: StageArgument?
  @Option(.mixing) var mixing: StageArgument?
  @Option(.views) var views: StageArgument?
  @Option(.keptPixels) var keptPixels: StageArgument?
  @Option(.sizes) var sizes: StageArgument?
  @Option(.patience) var patience: StageArgument?

  func validate() throws { try refusing { _ = try settings() } }

  /// What was given, in the order in which it is put in force.
  func settings() throws -> [StageSetting] {
    try [
      solver, epochs, batch, accumulation, shards, learningRate, layerDecay, momentum, weightDecay,
      gradientClip, weightAveraging, schedule, cycleLength, cycleMult, warmUp, labelSmoothing,
      classWeights, augmentation, mixing, views, keptPixels, sizes, patience,
    ].compactMap { try $0?.setting() }
  }
}

/// Batch norms of frozen layer groups, while the head trains or in fine-tuning.
struct FrozenBatchNormOptions: ParsableArguments {
  @Option(RecipeKey<Recipe.Head>.frozenBatchNorm, of: .frozenBatchNorm)
  var frozenBatchNorm: StageArgument?

  func validate() throws { try refusing { _ = try settings() } }

  /// What was given.
  func settings() throws -> [StageSetting] {
    try [frozenBatchNorm].compactMap { try $0?.setting() }
  }
}

/// How much memory a training may take.
struct MemoryOptions: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      "Memory that it may take, for example 4G (default: what is free, or what the control group allows)."
        + " Decoded photos are kept in a quarter of it. Changes no result.",
      valueName: "size"))
  var memory: String?

  /// Bytes; nil for what there is.
  var bytes: Int? { memory.flatMap { MemoryLimit.bytes($0) } }

  func validate() throws {
    guard let memory else { return }
    guard let bytes = MemoryLimit.bytes(memory), bytes >= 64 << 20 else {
      throw ValidationError(
        "--memory is '\(memory)', expected a size of at least 64M such as 512M, 1.5G or bytes.")
    }
  }
}
