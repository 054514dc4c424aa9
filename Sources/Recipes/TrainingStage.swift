// SPDX-License-Identifier: Apache-2.0

/// The two trainings of a pipeline, one after the other.
package enum TrainingStage: String, Sendable, CaseIterable {
  /// The new head, on the frozen backbone.
  case head
  /// Layers of the backbone, from the trained head on.
  case fineTune = "fine-tune"

  /// `the head`, `fine-tuning`.
  package var phrase: String { self == .head ? "the head" : "fine-tuning" }
}

/// A key that both trainings have, in their own sections: `train` or `head`, and `fine_tune`.
///
/// One value of its option means every training that can use it; `head:A,fine-tune:B` says each, and
/// either part alone leaves the other training as it is.
package struct StageKey: Sendable {
  private let head: RecipeKey<Recipe>
  private let fineTune: RecipeKey<Recipe>
  /// Whether one value can be right for both.
  let suitsBoth: Bool

  /// A key of `train` and `fine_tune`.
  package init(_ key: RecipeKey<Recipe.Train>) {
    head = key.within(\.train) { _ in
      key.name == "layer_decay" ? "one layer group trains, the head" : nil
    }
    fineTune = key.within(\.fineTune.train) { $0.fineTune.use(of: key.name) }
    suitsBoth = key.name != "learning_rate"
  }

  /// Batch norms of frozen groups, which `head` and `fine_tune` have.
  package static var frozenBatchNorm: StageKey {
    StageKey(
      head: RecipeKey<Recipe.Head>.frozenBatchNorm.within(\.head),
      fineTune: RecipeKey<Recipe.FineTune>.frozenBatchNorm.within(\.fineTune))
  }

  private init(head: RecipeKey<Recipe>, fineTune: RecipeKey<Recipe>) {
    self.head = head
    self.fineTune = fineTune
    suitsBoth = true
  }

  /// The key of one training.
  package subscript(stage: TrainingStage) -> RecipeKey<Recipe> {
    stage == .head ? head : fineTune
  }

  /// What is in force without it: one value, or `30, fine-tuning 15`.
  package var standard: String {
    let (first, second) = (head.standard, fineTune.standard)
    return first == second || second.isEmpty ? first : "\(first), fine-tuning \(second)"
  }

  /// The option with its dashes.
  package var option: String { "--\(head.option ?? head.name)" }
}

extension Recipe.FineTune {
  /// Why a setting of the whole would not be used: what thaws says it otherwise. Nil when it is.
  fileprivate func use(of key: String) -> String? {
    let own: ((Recipe.Phase) -> Bool)? =
      switch key {
      case "epochs": { $0.epochs != nil }
      case "learning_rate", "layer_decay": { $0.learningRate != nil }
      case "schedule", "cycle_length", "cycle_mult", "warm_up": { $0.schedule != nil }
      default: nil
      }
    if let own, !phases.isEmpty, phases.allSatisfy(own) { return "each of its phases has its own" }
    switch key {
    case "epochs": return gradual.isEmpty ? nil : "gradual unfreezing has its own"
    case "solver": return train.solver == .lbfgs ? "lbfgs trains a head only" : nil
    case "layer_decay":
      return freezeTo == -1 && groups.isEmpty && gradual.isEmpty && phases.isEmpty
        ? "one layer group trains, the head" : nil
    default: return nil
    }
  }
}
