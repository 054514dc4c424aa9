// SPDX-License-Identifier: Apache-2.0

import Testing
import ThawConsole
import ThawNetwork
import ThawRecipes

/// Which training an option means, and that none is without effect.
struct StageSettingsTests {
  typealias Key = RecipeKey<Recipe.Train>

  /// The recipe with `options`, and what was said about them.
  private func apply(
    _ options: [(Key, String)], to recipe: Recipe = Recipe(),
    stages: [TrainingStage] = [.head, .fineTune], rate: Double? = nil
  ) throws -> (recipe: Recipe, remarks: [String]) {
    var result = recipe
    let settings = try options.map { try StageSetting(StageKey($0), $1) }
    let remarks = try StageSettings(settings, stages: stages, usualRate: { _, _ in rate })
      .apply(to: &result)
    return (result, remarks)
  }

  private func refusal(
    _ options: [(Key, String)], to recipe: Recipe = Recipe(),
    stages: [TrainingStage] = [.head, .fineTune]
  ) -> String? {
    let error = #expect(throws: PipelineError.self) {
      try apply(options, to: recipe, stages: stages)
    }
    return error?.description
  }

  @Test func oneValueMeansBothTrainingsAndSaysSo() throws {
    let (recipe, remarks) = try apply([(.epochs, "3")])
    #expect(recipe.train.epochs == 3 && recipe.fineTune.train.epochs == 3)
    #expect(remarks == ["--epochs: 3 for the head, 3 for fine-tuning."])
  }

  @Test func eachTrainingCanHaveItsOwn() throws {
    let (recipe, remarks) = try apply([(.epochs, "head:3,fine-tune:8"), (.batch, "fine-tune:4")])
    #expect(recipe.train.epochs == 3 && recipe.fineTune.train.epochs == 8)
    #expect(recipe.train.batch == 32 && recipe.fineTune.train.batch == 4)
    #expect(
      remarks == [
        "--epochs: 3 for the head, 8 for fine-tuning.",
        "--batch: the head keeps 32, 4 for fine-tuning.",
      ])
  }

  @Test func valuesWithCommasAndColonsBelongToTheStageBeforeThem() throws {
    let rates = try apply([(.learningRate, "fine-tune:1e-4,1e-3,head:1e-2")]).recipe
    #expect(rates.fineTune.train.learningRate == .list([1e-4, 1e-3]))
    #expect(rates.train.learningRate == .single(0.01))
    let range = try apply([(.learningRate, "head:1e-2,fine-tune:1e-5:1e-3")]).recipe
    #expect(range.fineTune.train.learningRate == .range(from: 1e-5, to: 1e-3))
    #expect(try apply([(.sizes, "96,128")]).recipe.train.sizes == [96, 128])
  }

  @Test func aValueReachesTheTrainingThatCanUseIt() throws {
    let (recipe, remarks) = try apply([(.momentum, "0.8"), (.views, "2")])
    #expect(recipe.train.momentum == 0.8 && recipe.fineTune.train.momentum == nil)
    #expect(recipe.train.views == .cached(4) && recipe.fineTune.train.views == .cached(2))
    #expect(
      remarks == [
        "--momentum: 0.8 for the head, no effect on fine-tuning (adamw has no momentum).",
        "--views: no effect on the head (nothing is augmented), 2 for fine-tuning.",
      ])
  }

  @Test func lbfgsIsForTheHeadAndLeavesFineTuningItsSteps() throws {
    let (recipe, remarks) = try apply([(.solver, "lbfgs"), (.epochs, "4")])
    #expect(recipe.train.solver == .lbfgs && recipe.fineTune.train.solver == .adamw)
    #expect(recipe.train.epochs == 60 && recipe.fineTune.train.epochs == 4)
    #expect(
      remarks[0] == "--solver: lbfgs for the head, no effect on fine-tuning"
        + " (lbfgs trains a head only).")
    #expect(try recipe.checked() == recipe)
  }

  @Test func oneRateForBothIsRefusedAndOneForOneIsNot() throws {
    #expect(
      refusal([(.learningRate, "1e-2")])?.contains("Say which: --learning-rate head:1e-2") == true)
    #expect(try apply([(.learningRate, "1e-2")], stages: [.head]).recipe.train.rate == 0.01)
    let lbfgs = try apply([(.solver, "head:lbfgs"), (.learningRate, "1e-4")]).recipe
    #expect(lbfgs.fineTune.train.learningRate == .single(1e-4))
    #expect(lbfgs.train.learningRate == nil)
  }

  @Test(arguments: [
    ([(Key.momentum, "fine-tune:0.8")], "--momentum fine-tune:0.8 has no effect: adamw has no"),
    ([(.cycleLength, "2")], "--cycle-length 2 has no effect: the schedule is cosine; sgdr and"),
    ([(.schedule, "sgdr"), (.cycleLength, "head:2"), (.cycleMult, "0")], "'--cycle-mult' is '0'"),
    ([(.views, "head:3")], "--views head:3 has no effect: nothing is augmented."),
    ([(.augmentation, "none"), (.views, "3")], "--views 3 has no effect: nothing is augmented."),
    ([(.solver, "head:lbfgs"), (.batch, "head:4")], "--batch head:4 has no effect: lbfgs solves"),
    ([(.solver, "fine-tune:lbfgs")], "--solver fine-tune:lbfgs has no effect: lbfgs trains a head"),
    (
      [(.solver, "sgd"), (.schedule, "one_cycle"), (.momentum, "0.8")],
      "--momentum 0.8 has no effect: the schedule one_cycle sets the momentum."
    ),
    ([(.layerDecay, "head:0.5")], "--layer-decay head:0.5 has no effect: one layer group trains"),
    ([(.layerDecay, "0.5")], "--layer-decay needs the rate of the last layer group"),
    (
      [(.learningRate, "fine-tune:1e-4:1e-2"), (.layerDecay, "0.5")],
      "--layer-decay needs a single --learning-rate"
    ),
    ([(.epochs, "3,head:4")], "--epochs 3,head:4: say either one value, or"),
    ([(.epochs, "head:3,head:4")], "--epochs head:3,head:4 names head twice."),
    ([(.epochs, "head:")], "--epochs has no value."),
  ])
  func anOptionWithoutEffectIsAnError(options: [(Key, String)], message: String) {
    let text = refusal(options)
    #expect(text?.hasPrefix(message) == true, "\(text ?? "")")
  }

  @Test func aTrainingThatIsNotRunHasNoOptions() {
    #expect(
      refusal([(.epochs, "fine-tune:3")], stages: [.head])
        == "--epochs fine-tune:3 has no effect: fine-tuning is not part of this.")
  }

  @Test func phasesThatSayItThemselvesLeaveNothingToTheWhole() {
    var recipe = Recipe()
    recipe.fineTune.gradual = [1, 2]
    #expect(refusal([(.epochs, "3")], to: recipe, stages: [.fineTune])?.contains("gradual") == true)
    recipe.fineTune.gradual = []
    var phase = Recipe.Phase()
    (phase.epochs, phase.learningRate, phase.schedule) = (1, .single(1e-3), .constant)
    recipe.fineTune.phases = [phase]
    for (key, value) in [(Key.epochs, "3"), (.learningRate, "0.1"), (.schedule, "cosine")] {
      let text = refusal([(key, value)], to: recipe, stages: [.fineTune])
      #expect(text?.hasSuffix("has no effect: each of its phases has its own.") == true)
    }
  }

  @Test func frozenBatchNormsNeedFrozenLayers() throws {
    let setting = try StageSetting(.frozenBatchNorm, "training")
    var recipe = Recipe()
    let remarks = try StageSettings(
      [setting], stages: [.head, .fineTune], usualRate: { _, _ in nil }
    ).apply(to: &recipe)
    #expect(recipe.head.frozenBatchNorm == .training)
    #expect(recipe.fineTune.frozenBatchNorm == .inference)
    #expect(remarks[0].contains("no effect on fine-tuning (no layer group stays frozen)"))
    recipe.fineTune.freezeTo = -2
    _ = try StageSettings([setting], stages: [.fineTune], usualRate: { _, _ in nil })
      .apply(to: &recipe)
    #expect(recipe.fineTune.frozenBatchNorm == .training)
  }

  @Test func layerDecayStartsFromTheUsualRateOfTheSolverInForce() throws {
    var recipe = Recipe()
    let settings = try [(Key.solver, "sgd"), (.layerDecay, "0.5")].map {
      try StageSetting(StageKey($0), $1)
    }
    _ = try StageSettings(
      settings, stages: [.fineTune], usualRate: { $1.fineTune.rate(headAccuracy: 0.9...1) }
    ).apply(to: &recipe)
    #expect(recipe.fineTune.train.learningRate == .layerwise(to: 0.01, decay: 0.5))
  }
}
