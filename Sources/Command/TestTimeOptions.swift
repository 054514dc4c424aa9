// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import ThawRecipes

/// Several looks at each photo, and several models.
struct TestTimeOptions: ParsableArguments {
  @Option(.tta) var tta: RecipeArgument<Recipe.Evaluate>?
  @Option(.ttaMode) var ttaMode: RecipeArgument<Recipe.Evaluate>?
  @Flag(help: RecipeKey<Recipe.Evaluate>.snapshots.argumentHelp) var snapshots = false

  func validate() throws {
    try refusing {
      for argument in [tta, ttaMode] { try argument?.check(in: Recipe().evaluate) }
    }
    guard ttaMode == nil || tta?.text != "1" else {
      throw ValidationError("--tta-mode needs --tta of at least 2.")
    }
  }

  /// Changes what was given. A mode without a number takes its usual one.
  func apply(to evaluate: inout Recipe.Evaluate) throws {
    try ttaMode?.apply(to: &evaluate)
    if ttaMode != nil, tta == nil, evaluate.tta.count == 1 {
      evaluate.tta.count = evaluate.tta.mode == .crops ? 10 : 4
    }
    try tta?.apply(to: &evaluate)
    if snapshots { evaluate.snapshots = true }
  }
}
