// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import ThawRecipes

/// What of the backbone thaws, and when.
struct ThawingOptions: ParsableArguments {
  @Option(.freezeTo, parsing: .unconditional) var freezeTo: RecipeArgument<Recipe.FineTune>?

  @Flag(help: "Thaw everything; the same as --freeze-to 0.")
  var unfreeze = false

  @Option(.groups) var unfreezeGroups: RecipeArgument<Recipe.FineTune>?
  @Option(.gradual) var gradual: RecipeArgument<Recipe.FineTune>?
  @Option(.trainableBatchNorm) var trainableBatchNorm: RecipeArgument<Recipe.FineTune>?
  @OptionGroup var frozen: FrozenBatchNormOptions

  func validate() throws {
    guard ways.count + (unfreeze ? 1 : 0) <= 1 else {
      throw ValidationError(
        "--freeze-to, --unfreeze, --unfreeze-groups and --gradual contradict each other.")
    }
    try refusing {
      for argument in ways + [trainableBatchNorm].compactMap(\.self) {
        try argument.check(in: Recipe().fineTune)
      }
    }
  }

  private var ways: [RecipeArgument<Recipe.FineTune>] {
    [freezeTo, unfreezeGroups, gradual].compactMap(\.self)
  }

  /// Changes what was given; one way of saying what thaws replaces another. What was said about
  /// frozen batch norms is put in force with the other settings of the training.
  func apply(to fineTune: inout Recipe.FineTune) throws {
    if unfreeze || !ways.isEmpty {
      (fineTune.phases, fineTune.gradual, fineTune.groups) = ([], [], [])
    }
    if unfreeze { fineTune.freezeTo = 0 }
    for way in ways { try way.apply(to: &fineTune) }
    guard let trainableBatchNorm else { return }
    if let reason = trainableBatchNorm.key.reasonForNoEffect(in: fineTune) {
      throw ValidationError(
        "--trainable-batch-norm has no effect: \(reason).")
    }
    try trainableBatchNorm.apply(to: &fineTune)
  }
}
