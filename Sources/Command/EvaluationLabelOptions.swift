// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import ThawConsole
import ThawRecipes

/// Where the labels of photos are that a model is judged by or diagnosed with; the settings of a recipe's `data`.
struct EvaluationLabelOptions: ParsableArguments {
  @Option(.labels) var labels: RecipeArgument<Recipe.Data>?
  @Option(.tableColumns) var tableColumns: RecipeArgument<Recipe.Data>?
  @Option(.severalLabels) var severalLabels: RecipeArgument<Recipe.Data>?
  @Option(.labelSeparator) var labelSeparator: RecipeArgument<Recipe.Data>?
  @Option(.layout) var layout: RecipeArgument<Recipe.Data>?

  /// Whether nothing was said.
  var isEmpty: Bool { given.isEmpty }

  private var given: [RecipeArgument<Recipe.Data>] {
    [labels, tableColumns, severalLabels, labelSeparator, layout].compactMap(\.self)
  }

  func validate() throws { try refusing { _ = try settings() } }

  /// What was said.
  ///
  /// - Throws: `PipelineError.usage`.
  func settings() throws -> Recipe.Data {
    var data = Recipe().data
    for argument in given { try argument.apply(to: &data) }
    if let reason = tableColumns?.key.reasonForNoEffect(in: data) {
      throw PipelineError.usage("--table-columns has no effect: \(reason).")
    }
    return data
  }
}
