// SPDX-License-Identifier: Apache-2.0

import ThawImages
import ThawTraining

// The keys that `train` and `fine_tune` share.

extension RecipeKey where Section == Recipe.Train {
  package static var solver: RecipeKey {
    RecipeKey(
      "solver", \.solver, .choice, option: "solver",
      "How the weights are found; `lbfgs` is multinomial logistic regression, for the head only.")
  }
  package static var epochs: RecipeKey {
    RecipeKey(
      "epochs", \.epochs, .whole(1...100_000), option: "epochs", idle: convex,
      "Passes over the training photos, in each phase; schedules with cycles round up to whole ones."
    )
  }
  package static var batch: RecipeKey {
    RecipeKey(
      "batch", \.batch, .whole(1...65536), option: "batch", idle: convex,
      "Photos in one gradient.")
  }
  package static var accumulation: RecipeKey {
    RecipeKey(
      "accumulation", \.accumulation, .whole(1...4096), option: "accumulation", idle: convex,
      "Gradients added up before a step.")
  }
  package static var shards: RecipeKey {
    RecipeKey(
      "shards", from: 1, .whole(1...1024), option: "shards", idle: convex,
      "Parts of a step whose gradients are added in a fixed order: what several ranks of `mpirun` share.",
      // Recipes of one shard stay as they were before there were several: their text is in keys.
      write: { $0.shards == 1 ? nil : String($0.shards) }
    ) { $0.shards = $1 }
  }
  package static var learningRate: RecipeKey {
    RecipeKey(
      "learning_rate", \.learningRate, .learningRate, option: "learning-rate",
      optionText: """
        1e-2 for all layer groups, 1e-5:1e-3 rising geometrically, :1e-3 for the last group and a \
        tenth for the others, 1e-4,1e-3,1e-2 for each.
        """, idle: convex, "The schedule's largest rate.")
  }
  package static var momentum: RecipeKey {
    RecipeKey(
      "momentum", \.momentum, .number(0...0.9999, or: "auto"), option: "momentum",
      idle: { train in
        switch train.solver {
        case .adam, .adamw, .lbfgs: "\(train.solver.rawValue) has no momentum"
        case .sgd, .rmsprop:
          train.schedule.kind == .oneCycle ? "the schedule one_cycle sets the momentum" : nil
        }
      }, "Of `sgd` (`auto`: 0.9) and `rmsprop` (`auto`: 0).")
  }
  package static var nesterov: RecipeKey {
    RecipeKey(
      "nesterov", \.nesterov, .truth, idle: { only([.sgd], $0) },
      "Nesterov's form of the momentum, for `sgd`.")
  }
  package static var beta1: RecipeKey {
    RecipeKey(
      "beta1", \.beta1, .number(0...0.99999), idle: { only([.adam, .adamw], $0) },
      "Running mean of `adam` and `adamw`, bias-corrected.")
  }
  package static var beta2: RecipeKey {
    RecipeKey(
      "beta2", \.beta2, .number(0...0.9999999), idle: { only([.adam, .adamw], $0) },
      "Running mean square of `adam` and `adamw`, bias-corrected.")
  }
  package static var alpha: RecipeKey {
    RecipeKey(
      "alpha", \.alpha, .number(0...0.9999999), idle: { only([.rmsprop], $0) },
      "Running mean square of `rmsprop`.")
  }
  package static var epsilon: RecipeKey {
    RecipeKey(
      "epsilon", \.epsilon, .number(1e-30...1), idle: { only([.adam, .adamw, .rmsprop], $0) },
      "Added to the divisor of `adam`, `adamw` and `rmsprop`.")
  }
  package static var weightDecay: RecipeKey {
    RecipeKey(
      "weight_decay", \.weightDecay, .number(0...10), option: "weight-decay", idle: convex,
      "Pull of the weights towards zero; biases and norms are left out.")
  }
  package static var weightDecayKind: RecipeKey {
    RecipeKey(
      "weight_decay_kind", \.weightDecayKind, .choice, idle: undecayed,
      "In the gradient (`l2`), or apart from it; `auto` is `decoupled` for `adamw`.")
  }
  package static var decaysBiasesAndNorms: RecipeKey {
    RecipeKey(
      "decay_biases_and_norms", \.decaysBiasesAndNorms, .truth, idle: undecayed,
      "Whether biases and norms are pulled too.")
  }
  package static var gradientClip: RecipeKey {
    RecipeKey(
      "gradient_clip", \.gradientClip, .number(1e-9...1e9, or: "none"), option: "gradient-clip",
      idle: convex, "Largest Euclidean norm of the whole gradient.")
  }
  package static var weightAveraging: RecipeKey {
    RecipeKey(
      "weight_averaging", \.weightAveraging, .number(0...0.99999, or: "none"),
      option: "weight-averaging", idle: convex,
      "Decay of a moving average of the weights, which is judged and kept in their place; 0.99 spans"
        + " about a hundred steps.")
  }
  package static var regularization: RecipeKey {
    RecipeKey(
      "regularization", \.regularization, .number(1e-9...1e9, or: "auto"),
      idle: { only([.lbfgs], $0) },
      "Inverse strength C for `lbfgs`; `auto` cross-validates.")
  }
  package static var schedule: RecipeKey {
    RecipeKey(
      "schedule", \.schedule, .schedule, option: "schedule",
      idle: convex, "How the rate moves, batch by batch; starts anew in every phase.")
  }
  package static var labelSmoothing: RecipeKey {
    RecipeKey(
      "label_smoothing", \.labelSmoothing, .number(0...0.9), option: "label-smoothing",
      idle: convex, "Share of the target spread over all classes.")
  }
  package static var classWeights: RecipeKey {
    RecipeKey(
      "class_weights", \.classWeights, .choice, option: "class-weights",
      optionText: "balanced: every class counts the same; square_root: half-way.",
      "How much classes count in the loss.")
  }
  package static var augmentation: RecipeKey {
    RecipeKey(
      "augmentation", \.augmentation, .augmentation, option: "augmentation",
      idle: convex,
      "How training photos are varied.")
  }
  package static var mixing: RecipeKey {
    RecipeKey(
      "mixing", \.mixing, .mixing, option: "mixing",
      optionText: "With a colon its alpha: mixup:0.2.", idle: convex,
      "Photos of a batch mixed with one another.")
  }
  package static var views: RecipeKey {
    RecipeKey(
      "views", \.views, .views, option: "views",
      idle: { convex($0) ?? ($0.augmentation.isActive ? nil : "nothing is augmented") },
      "Draws of each training photo that are cached, or a new draw in every epoch (`fresh`) computed"
        + " through the frozen layers.")
  }
  package static var keptPixels: RecipeKey {
    RecipeKey(
      "kept_pixels", from: .shrunk, .choice, option: "kept-pixels",
      idle: { convex($0) ?? ($0.drawsAnew ? nil : "no photo is drawn anew in every epoch") },
      "What of the decoded photos is kept for fresh views: not more than draws can look at (large photos"
        + " are `shrunk`), or the `whole` photo. See [memory.md](memory.md).",
      // A training that keeps nothing has the text that it had before there was a choice.
      write: { $0.drawsAnew || $0.keptPixels != .shrunk ? $0.keptPixels.rawValue : nil }
    ) { $0.keptPixels = $1 }
  }
  package static var sizes: RecipeKey {
    RecipeKey(
      "sizes", \.sizes, .wholes(Recipe.sides), option: "sizes",
      optionText: "For example 128,224.", idle: convex,
      "Progressive resizing: all phases at each side in pixels in turn; the last must be the"
        + " network's own.")
  }
  package static var patience: RecipeKey {
    RecipeKey(
      "patience", \.patience, .whole(0...100_000), option: "patience", idle: convex,
      "Epochs without a lower validation loss before a phase stops; 0 never.")
  }

  /// Why a key that only some solvers read has no effect with another.
  @Sendable private static func only(
    _ solvers: [Recipe.Train.Solver], _ train: Recipe.Train
  ) -> String? {
    guard !solvers.contains(train.solver) else { return nil }
    let names = solvers.map(\.rawValue).joined(separator: ", ")
    return "the solver is \(train.solver.rawValue), and it is for \(names)"
  }

  /// Why nothing is to be said about a decay.
  @Sendable private static func undecayed(_ train: Recipe.Train) -> String? {
    convex(train) ?? (train.weightDecay == 0 ? "weight_decay is 0" : nil)
  }

  /// Why `lbfgs` has no use for what steps have.
  @Sendable private static func convex(_ train: Recipe.Train) -> String? {
    train.solver == .lbfgs ? "lbfgs solves the head at once, without steps and epochs" : nil
  }
}

// Options that change a part of a key.

extension RecipeKey where Section == Recipe.Train {
  package static var layerDecay: RecipeKey {
    RecipeKey(
      "layer_decay", from: 1, .number(1e-6...1), option: "layer-decay", idle: convex,
      "Each layer group's rate is so many times that of the next.", write: learningRate.write
    ) { train, decay in
      guard let rate = train.learningRate else { return }
      train.learningRate = .layerwise(to: rate.highest, decay: decay)
    }
  }
  package static var cycleLength: RecipeKey {
    RecipeKey(
      "cycle_length", from: 4, .whole(1...100_000), option: "cycle-length", idle: cycles,
      "Epochs of the first cycle of `sgdr` and `warm_restarts`.", write: schedule.write
    ) { train, length in
      train.schedule =
        train.schedule.withCycles(length: length, multiplier: nil) ?? train.schedule
    }
  }
  package static var cycleMult: RecipeKey {
    RecipeKey(
      "cycle_mult", from: 2, .whole(1...100_000), option: "cycle-mult", idle: cycles,
      "Factor from one cycle's length to the next.", write: schedule.write
    ) { train, factor in
      train.schedule =
        train.schedule.withCycles(length: nil, multiplier: factor) ?? train.schedule
    }
  }
  package static var warmUp: RecipeKey {
    RecipeKey(
      "warm_up", from: 0, .number(0...100_000), option: "warm-up", idle: convex,
      "Epochs in which the rate rises to the schedule's first.", write: schedule.write
    ) { train, epochs in train.schedule = train.schedule.warmedUp(epochs: epochs) }
  }

  @Sendable private static func cycles(_ train: Recipe.Train) -> String? {
    convex(train)
      ?? (train.schedule.withCycles(length: 1, multiplier: nil) == nil
        ? "the schedule is \(train.schedule.kind.rawValue); sgdr and warm_restarts have cycles"
        : nil)
  }
}

extension Recipe.Train {
  /// The keys of `train`, which `fine_tune` has too.
  package static let keys: [RecipeKey<Recipe.Train>] = [
    .solver, .epochs, .batch, .accumulation, .shards, .learningRate, .momentum, .nesterov, .beta1,
    .beta2,
    .alpha, .epsilon, .weightDecay, .weightDecayKind, .decaysBiasesAndNorms, .gradientClip,
    .weightAveraging, .regularization, .schedule, .labelSmoothing, .classWeights, .augmentation,
    .mixing, .views, .keptPixels, .sizes, .patience,
  ]
}
