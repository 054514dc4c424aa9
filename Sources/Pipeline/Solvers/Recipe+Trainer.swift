// SPDX-License-Identifier: Apache-2.0

import Images
import Training

extension Recipe.Train {
  /// The learning rate; the defaults did best on held-out parts of training photos
  /// (Documentation/head-defaults.md).
  var rate: Double { learningRate ?? (solver == .adam ? 1e-3 : 0.01) }

  /// The augmented views of every training photo whose features are cached; none without
  /// augmentation.
  func cachedViews(seed: UInt64) -> [TestTimeView] {
    guard augmentation != .none, solver != .lbfgs else { return [] }
    return AugmentedView.views(Augmentation(augmentation), seed: seed, count: views).map(
      TestTimeView.augmented)
  }

  /// What the trainer is told.
  func configuration(samples: Int, hasValidation: Bool, seed: UInt64) -> TrainerConfiguration {
    let optimizer: OptimizerConfiguration =
      solver == .adam
      ? .adamW(weightDecay: weightDecay)
      : OptimizerConfiguration(rule: .sgd(momentum: momentum), weightDecay: .l2(weightDecay))
    return TrainerConfiguration(
      epochs: wholeEpochs, batchSize: min(batch, samples), seed: seed, optimizer: optimizer,
      schedule: curve,
      earlyStopping: patience == 0 || !hasValidation ? nil : EarlyStopping(patience: patience))
  }

  /// One weight a class for the loss, empty for none; says so when a class is rare.
  func classWeights(_ data: TrainingData, console: Console) -> [Float] {
    let balance = ClassBalance(labels: data.labels, classes: data.classes.count)
    switch classWeights {
    case .balanced: return balance.weights(.balanced)
    case .squareRoot: return balance.weights(.squareRoot)
    case .none:
      if let hint = balance.hint(names: data.classes) { console.say("hint: \(hint)") }
      return []
    }
  }

  private var curve: Training.Schedule {
    switch schedule {
    case .constant: .constant
    case .cosine: .cosineAnnealing
    case .sgdr: .sgdr(cycleLength: cycleLength, multiplier: cycleMultiplier, lowStart: false)
    case .oneCycle: .oneCycleDefault
    }
  }

  /// The epochs asked for; with restarts, as many whole cycles as reach them.
  private var wholeEpochs: Int {
    var cycles = 1
    while let whole = curve.epochs(cycles: cycles) {
      if whole >= epochs { return whole }
      cycles += 1
    }
    return epochs
  }
}
