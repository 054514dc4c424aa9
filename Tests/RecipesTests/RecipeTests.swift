// SPDX-License-Identifier: Apache-2.0

import Testing
import ThawConfiguration
import ThawConsole
import ThawImages
import ThawRecipes
import ThawTraining

struct RecipeTests {
  @Test func keysWithoutEffectAreNamed() throws {
    let text = """
      train: {solver: lbfgs, epochs: 7, beta1: 0.5, class_weights: balanced}
      fine_tune: {enabled: true, solver: adamw, nesterov: true, regularization: 3, beta2: 0.9}
      """
    let recipe = try Recipe(yaml: text, file: "r.yml")
    #expect(
      recipe.keysWithoutEffect == [
        "train.epochs: 7 has no effect: lbfgs solves the head at once, without steps and epochs",
        "train.beta1: 0.5 has no effect: the solver is lbfgs, and it is for adam, adamw",
        "fine_tune.nesterov: true has no effect: the solver is adamw, and it is for sgd",
        "fine_tune.regularization: 3.0 has no effect: the solver is adamw, and it is for lbfgs",
      ])
    // What a run writes has every key.
    #expect(try Recipe(yaml: Recipe().yaml, file: "r.yml").keysWithoutEffect == [])
    var waiting = recipe
    waiting.fineTune.enabled = false
    #expect(waiting.keysWithoutEffect.count == 2)
  }

  @Test func everyFieldSurvivesTheWayThroughYAML() throws {
    var recipe = Recipe()
    recipe.name = #"my "photos" \ 🌿: #1"#
    recipe.backbone = "other"
    recipe.seed = .max
    recipe.data = { (data: Recipe.Data) in
      var data = data
      (data.valid, data.test, data.onBadImage) = (0.25, 0.125, .skip)
      return data
    }(recipe.data)
    recipe.image.size = 160
    recipe.cache = .float16
    recipe.head.hidden = 32
    recipe.head.dropout = 0.1
    recipe.train = .unlike
    recipe.fineTune.train = .unlike
    recipe.fineTune.train.solver = .rmsprop
    recipe.fineTune.enabled.toggle()
    recipe.fineTune.freezeTo = 1
    recipe.fineTune.groups = ["late", "head"]
    recipe.fineTune.gradual = [3, 3, 6]
    recipe.fineTune.frozenBatchNorm = .staleUpdate
    recipe.fineTune.trainableBatchNorm = .training
    recipe.fineTune.interpolation.toggle()
    recipe.evaluate.tta = .init(count: 10, mode: .blend, cleanShare: 0.3)
    recipe.evaluate.snapshots = true
    #expect(try Recipe(yaml: recipe.yaml, file: "r.yml") == recipe)
    recipe.fineTune.gradual = []
    var phase = Recipe.Phase()
    phase.epochs = 2
    phase.groups = ["head"]
    phase.size = 96
    phase.learningRate = .range(from: 1e-5, to: 1e-3)
    phase.schedule = .constant
    phase.frozenBatchNorm = .training
    phase.trainableBatchNorm = .batchStatistics
    var other = Recipe.Phase()
    other.freezeTo = 0
    recipe.fineTune.phases = [phase, other, Recipe.Phase()]
    #expect(try Recipe(yaml: recipe.yaml, file: "r.yml") == recipe)
    #expect(try Recipe(yaml: Recipe().yaml, file: "r.yml") == Recipe())
  }

  @Test(arguments: [
    Schedule.constant, .step(every: 3, factor: 0.5), .exponential(factor: 0.7),
    .inverseTime(decay: 0.3), .cosine(minimum: 0.01),
    .sgdr(cycleLength: 1, multiplier: 1, lowStart: true),
    .warmRestarts(period: 2, multiplier: 3, minimum: 0.1),
    .oneCycle(
      rise: 0.3, startDivisor: 10, finalDivisor: 100, highMomentum: 0.9, lowMomentum: 0.8),
    .flatCosine(flat: 0.5, finalDivisor: 10),
    .warmUp(epochs: 0.5, start: 0.1, next: .flatCosineDefault),
  ])
  func everyScheduleSurvivesTheWayThroughYAML(schedule: Schedule) throws {
    var recipe = Recipe()
    recipe.train.schedule = schedule
    #expect(try Recipe(yaml: recipe.yaml, file: "r.yml").train.schedule == schedule)
  }

  @Test(arguments: [
    ("1e-2", Recipe.LearningRate.single(0.01)), ("auto", nil),
    ("[1e-4, 1e-3, 1e-2]", .list([1e-4, 1e-3, 1e-2])),
    ("{from: 1e-5, to: 1e-3}", .range(from: 1e-5, to: 1e-3)),
    ("{to: 1e-3}", .range(from: nil, to: 1e-3)),
    ("{to: 1e-2, decay: 0.8}", .layerwise(to: 1e-2, decay: 0.8)),
  ])
  func learningRatesHaveSeveralForms(text: String, expected: Recipe.LearningRate?) throws {
    let recipe = try Recipe(yaml: "train:\n  learning_rate: \(text)", file: "r.yml")
    #expect(recipe.train.learningRate == expected)
  }

  @Test func augmentationIsAPresetOrSettings() throws {
    let recipe = try Recipe(
      yaml: """
        train:
          augmentation: top-down
          mixing: cutmix
          views: fresh
        fine_tune:
          augmentation:
            preset: photo
            rotation_degrees: 25
            zoom: [0.9, 1.1]
            random_crop: {scale: [0.5, 1]}
          mixing: {kind: mixup, alpha: 0.2}
          views: 3
        """, file: "r.yml")
    #expect(recipe.train.augmentation == .topDown)
    #expect(recipe.train.mixing == .cutmix(alpha: 1))
    #expect(recipe.train.views == .fresh)
    var expected = Augmentation.photo
    expected.rotationDegrees = 25
    expected.zoom = 0.9...1.1
    expected.randomCrop = RandomCrop(scale: 0.5...1)
    #expect(recipe.fineTune.train.augmentation == expected)
    #expect(recipe.fineTune.train.mixing == .mixup(alpha: 0.2))
    #expect(recipe.fineTune.train.views == .cached(3))
    #expect(try Recipe(yaml: recipe.yaml, file: "r.yml") == recipe)
  }

  @Test func sizesAtTheTopHoldForBothTrainings() throws {
    let recipe = try Recipe(yaml: "sizes: [128, 192]", file: "r.yml")
    #expect(recipe.train.sizes == [128, 192])
    #expect(recipe.fineTune.train.sizes == [128, 192])
    #expect(recipe.image.size == 192)
  }

  @Test func fineTuningCanBeTurnedOff() throws {
    #expect(try Recipe(yaml: "fine_tune:\n  epochs: 3", file: "r.yml").fineTune.enabled)
    #expect(try !Recipe(yaml: "fine_tune:\n  enabled: false", file: "r.yml").fineTune.enabled)
  }

  @Test(arguments: [
    (0.0...1.0, 3e-4), (0.6...0.9, 3e-4), (0.9...0.98, 1e-4), (0.99...1.0, 5e-5),
  ])
  func aBetterHeadMeansALowerRate(accuracy: ClosedRange<Double>, rate: Double) {
    var fineTune = Recipe().fineTune
    #expect(abs(fineTune.rate(headAccuracy: accuracy) / rate - 1) < 1e-12)
    fineTune.train.learningRate = .layerwise(to: 2e-3, decay: 0.5)
    #expect(fineTune.rate(headAccuracy: accuracy) == 2e-3)
    fineTune.train.learningRate = nil
    fineTune.train.solver = .sgd
    #expect(fineTune.rate(headAccuracy: accuracy) == 1e-2)
  }

  @Test func whatAFileLeavesOutKeepsItsDefault() throws {
    var expected = Recipe()
    expected.train.epochs = 3
    #expect(try Recipe(yaml: "train:\n  epochs: 3\n", file: "r.yml") == expected)
    #expect(try Recipe(yaml: "", file: "r.yml") == Recipe())
    #expect(try Recipe(yaml: "train:\n", file: "r.yml") == Recipe())
  }

  @Test(arguments: [
    ("nmae: x", "r.yml:1: unknown key 'nmae'. Known are name, "),
    ("name: x\n\ntrain:\n  solver: magic", "r.yml:4: 'train.solver' is 'magic', expected sgd, "),
    ("image:\n  size: 31", "r.yml:2: 'image.size' is '31', expected a whole number from 32"),
    ("head:\n  dropout: 1.0", "r.yml:2: 'head.dropout' is '1.0', expected a number from 0.0"),
    ("seed: -1", "r.yml:1: 'seed' is '-1', expected a whole number of at least 0"),
    ("train:\n  learning_rate: .nan", "r.yml:2: 'train.learning_rate' is '.nan'"),
    ("train: 3", "r.yml:1: 'train' must hold keys and values"),
    ("- a", "r.yml:1: the file must hold keys and values"),
    ("data:\n  valid: 0.5\n  test: 0.5", "r.yml: data.valid and data.test leave nothing"),
    (
      "train:\n  schedule:\n    kind: cosine\n    cycle_length: 3",
      "r.yml:4: unknown key 'cycle_length' in 'train.schedule'. Known are kind, minimum,"
    ),
    (
      "fine_tune:\n  phases:\n  - epoch: 3",
      "r.yml:3: unknown key 'epoch' in 'fine_tune.phases[1]'. Known are epochs, "
    ),
    (
      "train:\n  augmentation:\n    rotation: 3",
      "r.yml:3: 'train.augmentation': augmentation has no setting 'rotation'"
    ),
    (
      "train:\n  augmentation: {erasing: {area: [0, 2]}}",
      "r.yml:2: 'train.augmentation': not an augmentation: erased area"
    ),
    ("train:\n  learning_rate: {from: 1e-3}", "r.yml:2: 'learning_rate' needs 'to'"),
    (
      "train:\n  learning_rate: {from: 1e-3, to: 1, decay: 0.5}",
      "r.yml:2: 'from' and 'decay' of 'learning_rate' contradict each other"
    ),
    ("train:\n  views: many", "r.yml:2: 'train.views' is 'many', expected a whole number"),
    (
      "fine_tune:\n  gradual: [1]\n  phases: [{epochs: 1}]",
      "r.yml:2: 'fine_tune.gradual' and 'fine_tune.phases' contradict each other"
    ),
  ])
  func mistakesAreNamedWithTheirLine(yaml: String, expected: String) {
    let error = #expect(throws: ConfigurationError.self) {
      try Recipe(yaml: yaml, file: "r.yml")
    }
    #expect(error?.description.hasPrefix(expected) == true, "\(error?.description ?? "")")
  }

  @Test func aFieldSetOutOfRangeIsBadUsage() {
    var recipe = Recipe()
    recipe.train.batch = 0
    let error = #expect(throws: PipelineError.self) { try recipe.checked() }
    #expect(
      error
        == .usage("options: 'train.batch' is '0', expected a whole number from 1 to 65536."))
  }
}

extension Recipe.Train {
  /// No field has its default.
  fileprivate static var unlike: Recipe.Train {
    var train = Recipe.Train()
    train.solver = .adam
    train.epochs = 7
    train.batch = 9
    train.accumulation = 2
    train.learningRate = .single(0.1 + 0.2)
    train.momentum = 0.8
    train.nesterov = true
    train.beta1 = 0.8
    train.beta2 = 0.99
    train.alpha = 0.9
    train.epsilon = 1e-5
    train.weightDecay = 1e-7
    train.weightDecayKind = .decoupled
    train.decaysBiasesAndNorms = true
    train.gradientClip = 1
    train.weightAveraging = 0.9
    train.regularization = 3.5
    train.schedule = .sgdr(cycleLength: 3, multiplier: 1, lowStart: true)
    train.labelSmoothing = 0.1
    train.classWeights = .squareRoot
    train.augmentation.rotationDegrees = 0.1 + 0.2
    train.augmentation.erasing = .cutout(side: 0.25)
    train.mixing = .mixup(alpha: 0.3)
    train.views = .fresh
    train.keptPixels = .whole
    train.sizes = [96, 128]
    train.patience = 0
    return train
  }
}
