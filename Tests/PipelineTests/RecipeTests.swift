// SPDX-License-Identifier: Apache-2.0

import Configuration
import Pipeline
import Testing

struct RecipeTests {
  @Test func everyFieldSurvivesTheWayThroughYAML() throws {
    var recipe = Recipe()
    recipe.name = #"my "photos" \ 🌿: #1"#
    recipe.backbone = "other"
    recipe.seed = .max
    recipe.data.valid = 0.25
    recipe.data.test = 0.125
    recipe.data.onBadImage = .skip
    recipe.image.size = 160
    recipe.head.hidden = 32
    recipe.head.dropout = 0.1
    recipe.train.solver = .adam
    recipe.train.epochs = 7
    recipe.train.batch = 9
    recipe.train.learningRate = 0.1 + 0.2
    recipe.train.momentum = 0.8
    recipe.train.weightDecay = 1e-7
    recipe.train.regularization = 3.5
    recipe.train.schedule = .sgdr
    recipe.train.cycleLength = 3
    recipe.train.cycleMultiplier = 1
    recipe.train.labelSmoothing = 0.1
    recipe.train.classWeights = .balanced
    recipe.train.patience = 0
    recipe.evaluate.tta = 10
    #expect(try Recipe(yaml: recipe.yaml, file: "r.yml") == recipe)
    #expect(try Recipe(yaml: Recipe().yaml, file: "r.yml") == Recipe())
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
