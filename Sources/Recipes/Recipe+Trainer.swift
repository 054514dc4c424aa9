// SPDX-License-Identifier: Apache-2.0

package import ThawImages
package import ThawTraining

extension Recipe.Train {
  /// The largest learning rate without one in the recipe; the defaults did best on held-out parts
  /// of training photos (Documentation/head-defaults.md).
  package var defaultRate: Double { solver == .sgd ? 0.01 : 1e-3 }

  /// The largest learning rate.
  package var rate: Double { learningRate?.highest ?? defaultRate }

  /// The augmented views of every training photo whose features are cached; none without
  /// augmentation, or when every epoch draws anew.
  package func cachedViews(seed: UInt64) -> [TestTimeView] {
    guard augmentation.isActive, solver != .lbfgs, case .cached(let count) = views else {
      return []
    }
    return AugmentedView.views(augmentation, seed: seed, count: count).map(TestTimeView.augmented)
  }

  /// What the trainer is told; a phased training sets the epochs itself.
  package func configuration(samples: Int, hasValidation: Bool, seed: UInt64)
    -> TrainerConfiguration
  {
    TrainerConfiguration(
      epochs: schedule.wholeEpochs(epochs), batchSize: min(batch, samples), seed: seed,
      optimizer: optimizer, schedule: schedule,
      earlyStopping: patience == 0 || !hasValidation ? nil : EarlyStopping(patience: patience),
      accumulation: accumulation, mixing: mixing, weightAveraging: weightAveraging,
      shards: shards)
  }

  /// The update.
  package var optimizer: OptimizerConfiguration {
    let rule: UpdateRule =
      switch solver {
      case .sgd, .lbfgs: .sgd(momentum: momentum ?? 0.9, nesterov: nesterov)
      case .rmsprop: .rmsProp(alpha: alpha, epsilon: epsilon, momentum: momentum ?? 0)
      case .adam, .adamw: .adam(beta1: beta1, beta2: beta2, epsilon: epsilon)
      }
    let isDecoupled = weightDecayKind == .auto ? solver == .adamw : weightDecayKind == .decoupled
    return OptimizerConfiguration(
      rule: rule, weightDecay: isDecoupled ? .decoupled(weightDecay) : .l2(weightDecay),
      decaysBiasesAndNorms: decaysBiasesAndNorms, maximumGradientNorm: gradientClip)
  }

  /// One weight a class for the loss, empty for none.
  package func classWeights(labels: [Int], classes: Int) -> [Float] {
    let balance = ClassBalance(labels: labels, classes: classes)
    return switch classWeights {
    case .balanced: balance.weights(.balanced)
    case .squareRoot: balance.weights(.squareRoot)
    case .none: []
    }
  }
}

extension Recipe.Train {
  /// What is made small for samples with such labels.
  package func loss(_ labels: SampleLabels, classes: Int) -> any Loss {
    let weights = weights(labels, classes: classes)
    switch labels {
    case .single:
      return SoftmaxCrossEntropy(labelSmoothing: labelSmoothing, classWeights: weights)
    case .several:
      return SigmoidCrossEntropy(labelSmoothing: labelSmoothing, positiveWeights: weights)
    }
  }

  /// One weight a class for the loss, empty for none: of the class, or where samples may have several
  /// labels of having it.
  package func weights(_ labels: SampleLabels, classes: Int) -> [Float] {
    switch labels {
    case .single(let labels):
      return classWeights(labels: labels, classes: classes)
    case .several(let rows):
      switch classWeights {
      case .balanced: return rows.positiveWeights(.balanced)
      case .squareRoot: return rows.positiveWeights(.squareRoot)
      case .none: return []
      }
    }
  }
}

extension Recipe.FineTune {
  /// The learning rates without any in the recipe (Documentation/fine-tuning.md). Steps of Adam
  /// have one size whatever the gradient, so one rate suits all groups; those of the others do not.
  ///
  /// - Parameter headAccuracy: between which values that of the head alone lies. The fewer mistakes
  ///   it makes at worst, the better the backbone's features serve already, and the less Adam moves
  ///   them: a thousandth of the error, from 5e-5 to 3e-4.
  package func usualRate(headAccuracy: ClosedRange<Double>) -> Recipe.LearningRate {
    switch train.solver {
    case .adam, .adamw:
      .single(min(max(1e-3 * (1 - headAccuracy.lowerBound), 5e-5), 3e-4))
    case .rmsprop: .range(from: nil, to: 1e-3)
    case .sgd, .lbfgs: .range(from: nil, to: 1e-2)
    }
  }

  /// The largest learning rate.
  ///
  /// - Parameter headAccuracy: between which values that of the head alone lies
  ///   (``RunDirectory/headAccuracy``).
  package func rate(headAccuracy: ClosedRange<Double>) -> Double {
    (train.learningRate ?? usualRate(headAccuracy: headAccuracy)).highest
  }
}

extension Recipe {
  /// What the training photos of the model that was made last were varied by.
  package func augmentation(isHeadAlone: Bool) -> Augmentation {
    isHeadAlone ? train.augmentation : fineTune.train.augmentation
  }
}
