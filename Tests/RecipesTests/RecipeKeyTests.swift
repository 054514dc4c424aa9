// SPDX-License-Identifier: Apache-2.0

import Foundation
import SystemPackage
import Testing
import ThawConsole
import ThawFiles
import ThawNetwork
import ThawRecipes

/// A key is declared once, and what follows from the declaration is right.
struct RecipeKeyTests {
  private func fixture(_ name: String) throws -> String {
    let path = FilePath(#filePath).removingLastComponent().appending("Fixtures").appending(name)
    return String(decoding: try FileSystem.read(path), as: UTF8.self)
  }

  /// `THAW_WRITE_DOCUMENTATION=1 swift test --filter RecipeKeyTests` writes the tables anew.
  @Test func theDocumentationFollowsFromTheDeclarations() throws {
    let page = try RecipeDocumentation.text()
    let (text, names) = RecipeDocumentation.filled(page)
    #expect(names == Set(RecipeDocumentation.tables.keys))
    if ProcessInfo.processInfo.environment["THAW_WRITE_DOCUMENTATION"] != nil {
      return try AtomicFile.write(RecipeDocumentation.page, text: text)
    }
    let pairs = zip(page.split(separator: "\n"), text.split(separator: "\n"))
    let first = pairs.first { $0 != $1 }
    #expect(
      page == text,
      "\(first.map { "\($0) should be \($1)" } ?? "") (THAW_WRITE_DOCUMENTATION=1 writes it anew)")
  }

  // Runs are trained anew when their recipe's text changes, so it must not without need.
  @Test(arguments: ["recipe-0.yml", "recipe-0-defaults.yml"])
  func recipesOfVersion010AreReadAndWrittenAlike(name: String) throws {
    let text = try fixture(name)
    let recipe = try Recipe(written: text, file: name)
    // A run of that version ignored profiles, and goes on so.
    #expect(recipe.image.colorProfiles == .ignore)
    #expect(recipe.yaml == withPixels(text, profiles: "ignore", kept: "whole"))
    #expect(try Recipe(written: recipe.yaml, file: name) == recipe)
  }

  /// What a recipe says of pixels besides the size, which version 0.1.0 did not know.
  private func withPixels(_ text: String, profiles: String, kept: String) -> String {
    let lines = text.split(separator: "\n", omittingEmptySubsequences: false).flatMap { line in
      switch line {
      case "  views: fresh": [String(line), "  kept_pixels: \(kept)"]
      case _ where line.hasPrefix("  size: "):
        [String(line), "  color_profiles: \(profiles)", "  max_pixels: auto"]
      default: [String(line)]
      }
    }
    return lines.joined(separator: "\n")
  }

  /// A run that began before there was a choice draws from whole photos to its end.
  @Test func whatIsKeptOfPhotosIsNeverGuessed() throws {
    let fresh = "fine_tune:\n  augmentation: photo\n  views: fresh\n"
    #expect(try Recipe(yaml: fresh, file: "r").fineTune.train.keptPixels == .shrunk)
    let old = try Recipe(written: "train:\n  views: 4\n" + fresh, file: "r")
    #expect(old.fineTune.train.keptPixels == .whole && old.train.keptPixels == .shrunk)
    #expect(old.yaml.contains("\n  kept_pixels: whole\n"))
    for value in [Recipe.Train.KeptPixels.whole, .shrunk] {
      var recipe = Recipe()
      recipe.fineTune.train.keptPixels = value
      #expect(try Recipe(written: recipe.yaml, file: "r") == recipe)
      #expect(try Recipe(yaml: recipe.yaml, file: "r") == recipe)
      #expect(try recipe.checked() == recipe)
    }
    // The head sees cached views: its text is what it was.
    #expect(!Recipe().train.yaml.contains("kept_pixels"))
    var idle = Recipe()
    idle.train.keptPixels = .whole
    #expect(
      idle.keysWithoutEffect == [
        "train.kept_pixels: whole has no effect: no photo is drawn anew in every epoch"
      ])
  }

  @Test func aRecipeWrittenByHandMeansWhatItMeantInVersion010() throws {
    let recipe = try Recipe(yaml: try fixture("written-by-hand.yml"), file: "r.yml")
    #expect(
      recipe.yaml
        == withPixels(try fixture("recipe-0.yml"), profiles: "convert", kept: "shrunk"))
    #expect(recipe.head.frozenBatchNorm == .batchStatistics)
    #expect(recipe.train.learningRate == .range(from: 1e-5, to: 1e-3))
    #expect(recipe.fineTune.phases.map(\.epochs) == [2, 4, nil])
    #expect(recipe.evaluate.tta.cleanShare == 0.3)
  }

  @Test func thePipelinesThatComeWithItAreReadable() throws {
    let folder = RecipeDocumentation.page.removingLastComponent().removingLastComponent()
      .appending("Pipelines")
    let names = try FileSystem.list(folder).filter { $0.extension == "yml" }
    #expect(names.count >= 6)
    for name in names {
      let text = String(decoding: try FileSystem.read(folder.appending(name)), as: UTF8.self)
      let recipe = try Recipe(yaml: text, file: name.string)
      #expect(try Recipe(yaml: recipe.yaml, file: name.string) == recipe)
    }
  }

  @Test func noTwoKeysOfASectionShareANameOrAnOption() {
    func check<Section>(_ keys: [RecipeKey<Section>]) {
      #expect(Set(keys.map(\.name)).count == keys.count)
      let options = keys.compactMap(\.option)
      #expect(Set(options).count == options.count)
      for key in keys { #expect(key.text.hasSuffix("."), "\(key.name)") }
    }
    check(Recipe.FineTune.keys)
    check(Recipe.Data.keys)
    check(Recipe.Head.keys)
    check(Recipe.Evaluate.keys)
    check(Recipe.Phase.keys.map { $0 })
  }

  @Test func aPhaseMayGoBackToInference() throws {
    let recipe = try Recipe(
      yaml: """
        fine_tune:
          trainable_batch_norm: training
          phases: [{epochs: 1, trainable_batch_norm: inference}]
        """, file: "r.yml")
    #expect(recipe.fineTune.phases[0].trainableBatchNorm == .inference)
    #expect(try Recipe(yaml: recipe.yaml, file: "r.yml") == recipe)
  }

  @Test(arguments: [
    ("1e-5:1e-3", Recipe.LearningRate.range(from: 1e-5, to: 1e-3)),
    (":1e-3", .range(from: nil, to: 1e-3)), ("1e-2", .single(0.01)),
    ("1e-4,1e-3,1e-2", .list([1e-4, 1e-3, 1e-2])),
  ])
  func anOptionWritesRatesShortly(text: String, expected: Recipe.LearningRate) throws {
    var train = Recipe().train
    try RecipeKey.learningRate.set(text, in: &train)
    #expect(train.learningRate == expected)
  }

  @Test(arguments: [
    (RecipeKey<Recipe.Train>.epochs, "0", "'--epochs' is '0', expected a whole number from 1 to"),
    (.epochs, "3\nbatch: 4", "'--epochs' is '3\nbatch: 4', expected"),
    (.epochs, "", "--epochs has"),
    (.solver, "magic", "'--solver' is 'magic', expected sgd, rmsprop"),
    (.learningRate, "1:2:3", "'--learning-rate' is '1:2:3', expected a number"),
    (.learningRate, "1e-5:", "'--learning-rate' needs 'to'"),
    (.learningRate, "1e-5:1}, {", "'--learning-rate' is '{from: 1e-5, to: 1}, {}', which is not"),
    (.sizes, "96,fifty", "'--sizes' is 'a list or mapping', expected a list of whole numbers"),
    (.mixing, "mixup:-1", "'--mixing"),
  ])
  func anOptionIsAsStrictAsARecipe(
    key: RecipeKey<Recipe.Train>, text: String, expected: String
  ) {
    var train = Recipe().train
    let error = #expect(throws: PipelineError.self) { try key.set(text, in: &train) }
    #expect(error?.description.hasPrefix(expected) == true, "\(error?.description ?? "")")
  }
}
