// SPDX-License-Identifier: Apache-2.0

/// A part of a recipe that options change one by one.
package protocol RecipeSection: Sendable {
  /// As it is in a recipe that says nothing.
  static var standard: Self { get }
}

extension Recipe: RecipeSection {
  package static var standard: Recipe { Recipe() }
}
extension Recipe.Data: RecipeSection {
  package static var standard: Recipe.Data { Recipe().data }
}
extension Recipe.Image: RecipeSection {
  package static var standard: Recipe.Image { Recipe().image }
}
extension Recipe.Head: RecipeSection {
  package static var standard: Recipe.Head { Recipe().head }
}
extension Recipe.FineTune: RecipeSection {
  package static var standard: Recipe.FineTune { Recipe().fineTune }
}
extension Recipe.Evaluate: RecipeSection {
  package static var standard: Recipe.Evaluate { Recipe().evaluate }
}

extension RecipeKey where Section: RecipeSection {
  /// What is in force where nothing is said, as the documentation has it; empty for nothing.
  package var standard: String {
    let text = documented(of: .standard).replacing("`", with: "")
    return ["[]", "none"].contains(text) ? "" : text
  }
}
