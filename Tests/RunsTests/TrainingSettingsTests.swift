// SPDX-License-Identifier: Apache-2.0

import Testing
import ThawCheckpoints
import ThawImages
import ThawInference
import ThawRecipes

/// What of a model's training is read when its file comes from another version.
struct TrainingSettingsTests {
  private func record(_ recipe: String, isHeadAlone: Bool = false) -> ModelRecord {
    let text = recipe.replacing("\\", with: "\\\\").replacing("\"", with: "\\\"").replacing(
      "\n", with: "\\n")
    return ModelRecord(
      thawVersion: "9", architecture: "x", classNames: ["a"], preprocessing: "{}",
      training: "{\"recipe\":\"\(text)\",\"is_head_alone\":\(isHeadAlone),\"novelty\":1}")
  }

  private func recipe() -> Recipe {
    var recipe = Recipe()
    recipe.seed = 7
    recipe.train.augmentation = .none
    recipe.fineTune.train.augmentation = .photo
    recipe.fineTune.train.batch = 24
    return recipe
  }

  @Test func aRecipeOfThisVersionIsReadWhole() {
    let settings = TrainingSettings(of: record(recipe().yaml))
    #expect(settings.seed == 7 && settings.batch == 24 && settings.augmentation == .photo)
    #expect(settings.problem == nil && settings.note == nil)
    let head = TrainingSettings(of: record(recipe().yaml, isHeadAlone: true))
    #expect(head.augmentation == .none && head.batch == 32)
  }

  @Test func keysOfAnotherVersionCostNothingThatIsNeeded() throws {
    let text = recipe().yaml.replacing(
      "fine_tune:\n", with: "novelty: 3\nfine_tune:\n  sharpness: 0.05\n")
    let settings = TrainingSettings(of: record(text))
    #expect(settings.seed == 7 && settings.batch == 24 && settings.augmentation == .photo)
    #expect(settings.problem == nil)
    #expect(try #require(settings.note).contains("unknown key"))
  }

  @Test func whatCannotBeHadIsAProblemAndNotADefault() throws {
    let renamed = recipe().yaml.replacing("augmentation:", with: "views_of_photos:")
    #expect(
      try #require(TrainingSettings(of: record(renamed)).problem).contains(
        "no fine_tune.augmentation"))
    let unknown = recipe().yaml.replacing("augmentation: photo", with: "augmentation: sketch")
    #expect(TrainingSettings(of: record(unknown)).problem != nil)
    var damaged = record("")
    damaged.training = "{\"recipe\":1}"
    #expect(TrainingSettings(of: damaged).problem == "its training record is not understood")
  }

  @Test func aNetworkThatThawDidNotTrainHasNoProblem() {
    let card = ModelRecord(
      thawVersion: "9", architecture: "x", classNames: ["a"], preprocessing: "{}")
    #expect(TrainingSettings(of: card) == TrainingSettings())
  }
}
