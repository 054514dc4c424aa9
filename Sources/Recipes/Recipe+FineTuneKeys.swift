// SPDX-License-Identifier: Apache-2.0

import ThawConfiguration
import ThawNetwork

extension RecipeKey where Section == Recipe.FineTune {
  package static var enabled: RecipeKey {
    RecipeKey(
      "enabled", \.enabled, .truth, option: "fine-tune",
      "Whether `fit` thaws the backbone after the head is trained; `thaw fine-tune` always does.")
  }
  package static var freezeTo: RecipeKey {
    RecipeKey(
      "freeze_to", \.freezeTo, .whole(-1000...1000), option: "freeze-to",
      "Layer groups before this one stay frozen; -1 is the head alone, 0 thaws all.")
  }
  package static var groups: RecipeKey {
    RecipeKey(
      "groups", \.groups, .wordList, option: "unfreeze-groups",
      optionText: "Separated by commas.",
      "Names of the groups that train, in place of `freeze_to`.")
  }
  package static var gradual: RecipeKey {
    RecipeKey(
      "gradual", \.gradual, .wholes(1...100_000), option: "gradual",
      optionText: "For example 3,3,6.",
      "Gradual unfreezing: epochs of the head alone, with one more group, and so on.")
  }
  package static var phases: RecipeKey {
    RecipeKey("phases", \.phases, .phases, "Phases spelt out, in place of `gradual`.")
  }
  package static var frozenBatchNorm: RecipeKey {
    RecipeKey(
      "frozen_batch_norm", \.frozenBatchNorm, .batchNorm(isFrozen: true),
      option: "frozen-batch-norm",
      idle: { fineTune in
        guard fineTune.phases.isEmpty else {
          return fineTune.phases.allSatisfy { $0.frozenBatchNorm != nil }
            ? "each of its phases has its own" : nil
        }
        return fineTune.freezeTo == 0 && fineTune.groups.isEmpty && fineTune.gradual.isEmpty
          ? "no layer group stays frozen" : nil
      }, "Batch norms of frozen layer groups: a mode, or a system whose way is meant.")
  }
  package static var trainableBatchNorm: RecipeKey {
    RecipeKey(
      "trainable_batch_norm", \.trainableBatchNorm, .batchNorm(isFrozen: false),
      option: "trainable-batch-norm",
      idle: { fineTune in
        !fineTune.phases.isEmpty && fineTune.phases.allSatisfy { $0.trainableBatchNorm != nil }
          ? "each of its phases has its own" : nil
      }, "Batch norms of the groups that train.")
  }
  package static var interpolation: RecipeKey {
    RecipeKey(
      "interpolation", \.interpolation, .truth, option: "interpolation",
      "Judge the weights a quarter, half and three quarters of the way from the start to the best"
        + " epoch too, and keep those of the lowest validation loss.")
  }
  package static var stopAfter: RecipeKey {
    RecipeKey(
      "stop_after", \.stopAfter, .optional(.whole(1...100_000), from: 1),
      "Epochs after which fine-tuning ends, although its schedule has more: what `fit --minutes` records"
        + " when time runs out before the last epoch.")
  }
}

extension RecipeKey where Section == Recipe.Phase {
  package static var epochs: RecipeKey {
    RecipeKey("epochs", \.epochs, .optional(.whole(1...100_000), from: 1), "Its epochs.")
  }
  package static var freezeTo: RecipeKey {
    RecipeKey(
      "freeze_to", \.freezeTo, .optional(.whole(-1000...1000), from: 0),
      "Layer groups before this one stay frozen.")
  }
  package static var groups: RecipeKey {
    RecipeKey("groups", \.groups, .wordList.unlessEmpty, "Or the names of the groups that train.")
  }
  package static var size: RecipeKey {
    RecipeKey(
      "size", \.size, .optional(.whole(Recipe.sides), from: 32), "Side of the input in pixels.")
  }
  package static var learningRate: RecipeKey {
    RecipeKey("learning_rate", \.learningRate, .learningRate.unlessNil, "Its largest rate.")
  }
  package static var schedule: RecipeKey {
    RecipeKey("schedule", \.schedule, .optional(.schedule, from: .cosineAnnealing), "Its schedule.")
  }
  package static var frozenBatchNorm: RecipeKey {
    RecipeKey(
      "frozen_batch_norm", \.frozenBatchNorm,
      .optional(.batchNorm(isFrozen: true), from: .inference), "Batch norms of frozen groups.")
  }
  package static var trainableBatchNorm: RecipeKey {
    RecipeKey(
      "trainable_batch_norm", \.trainableBatchNorm,
      .optional(.batchNorm(isFrozen: false), from: .inference),
      "Batch norms of the groups that train.")
  }
}

extension Recipe.FineTune {
  /// The keys that only `fine_tune` has.
  package static let ownKeys: [RecipeKey<Recipe.FineTune>] = [
    .enabled, .freezeTo, .groups, .gradual, .phases, .frozenBatchNorm, .trainableBatchNorm,
    .interpolation, .stopAfter,
  ]
  /// The keys of `fine_tune`: its own, and those of `train`.
  package static let keys = ownKeys + Recipe.Train.keys.map { $0.within(\.train) }

  /// What no single key can judge.
  ///
  /// - Parameter fields: the section, for the line of an error.
  func check(_ fields: YAMLFields) throws {
    guard train.solver != .lbfgs else {
      throw fields.error(
        at: "solver", "'fine_tune.solver' is lbfgs, expected sgd, rmsprop, adam or adamw.")
    }
    guard gradual.isEmpty || phases.isEmpty else {
      throw fields.error(
        at: "gradual", "'fine_tune.gradual' and 'fine_tune.phases' contradict each other.")
    }
    guard stopAfter == nil || (gradual.isEmpty && phases.isEmpty && train.sizes.count < 2) else {
      throw fields.error(
        at: "stop_after",
        "'fine_tune.stop_after' ends a fine-tuning of one phase; this one has several.")
    }
  }
}

extension Recipe.Phase {
  /// The keys of a phase.
  package static let keys: [RecipeKey<Recipe.Phase>] = [
    .epochs, .freezeTo, .groups, .size, .learningRate, .schedule, .frozenBatchNorm,
    .trainableBatchNorm,
  ]

  /// On one line, with the keys that differ from the whole.
  var yaml: String {
    let pairs = Recipe.Phase.keys.compactMap { key in key.write(self).map { "\(key.name): \($0)" } }
    return "{" + pairs.joined(separator: ", ") + "}"
  }

  /// What no single key can judge.
  ///
  /// - Parameter fields: the phase, for the line of an error.
  func check(_ fields: YAMLFields) throws {
    guard groups.isEmpty || freezeTo == nil else {
      throw fields.error(
        at: "groups", "'groups' and 'freeze_to' of a phase contradict each other.")
    }
  }
}
