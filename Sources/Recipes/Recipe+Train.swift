// SPDX-License-Identifier: Apache-2.0

package import ThawImages
package import ThawTraining

extension Recipe {
  /// How layers are trained.
  package struct Train: Hashable, Sendable {
    /// How the weights are found.
    package enum Solver: String, Hashable, Sendable, CaseIterable {
      /// Stochastic gradient descent with momentum.
      case sgd
      /// Steps divided by a running root mean square of the gradients.
      case rmsprop
      /// Adam with bias correction; weight decay is a part of the gradient.
      case adam
      /// Adam with bias correction; weight decay is apart from the gradient.
      case adamw
      /// Multinomial logistic regression by L-BFGS: convex, deterministic, seconds.
      case lbfgs
    }
    /// Where weight decay acts.
    package enum WeightDecayKind: String, Hashable, Sendable, CaseIterable {
      /// Apart from the gradient for `adamw`, in the gradient for the others.
      case auto
      /// Added to the gradient.
      case l2
      /// Apart from the gradient.
      case decoupled
    }
    /// How much each class counts in the loss.
    package enum ClassWeights: String, Hashable, Sendable, CaseIterable {
      /// Every photo counts the same.
      case none
      /// Every class counts the same.
      case balanced
      /// Half-way between the two: weights are the square roots of the balanced ones.
      case squareRoot = "square_root"
    }
    /// Where augmented photos come from.
    package enum Views: Hashable, Sendable {
      /// So many draws of each photo, computed once and cached; epochs take turns with them.
      case cached(Int)
      /// A new draw in every epoch, computed through the frozen layers each time.
      case fresh
    }
    /// What is kept of decoded photos that every epoch draws anew.
    package enum KeptPixels: String, Hashable, Sendable, CaseIterable {
      /// Not more than draws can look at: large photos become smaller.
      case shrunk
      /// The photos as they are decoded, to the same bits as decoding them in every epoch.
      case whole
    }
    /// See ``Solver``.
    package var solver = Solver.sgd
    /// Passes over the training photos; with cycles rounded up to whole ones.
    package var epochs = 60
    /// Photos in one gradient.
    package var batch = 32
    /// Gradients that are added up before a step.
    package var accumulation = 1
    /// Parts of a step whose gradients are computed apart and added in a fixed order.
    package var shards = 1
    /// The largest learning rates of the schedule; nil for the solver's default.
    package var learningRate: LearningRate?
    /// Momentum of `sgd` (nil: 0.9) and `rmsprop` (nil: 0).
    package var momentum: Double?
    /// Nesterov's form of the momentum, for `sgd`.
    package var nesterov = false
    /// Decay of Adam's running mean.
    package var beta1 = 0.9
    /// Decay of Adam's running mean square.
    package var beta2 = 0.999
    /// Decay of RMSProp's running mean square.
    package var alpha = 0.99
    /// Added to the divisor of Adam and RMSProp.
    package var epsilon = 1e-8
    /// Pull of the weights towards zero; for `lbfgs` see ``regularization``.
    package var weightDecay = 1e-3
    /// See ``WeightDecayKind``.
    package var weightDecayKind = WeightDecayKind.auto
    /// Whether biases and the scales and shifts of norms are pulled too.
    package var decaysBiasesAndNorms = false
    /// Largest Euclidean norm of the gradient; nil does not clip.
    package var gradientClip: Double?
    /// Decay of a moving average of the weights that is judged and kept in their place; nil for
    /// none.
    package var weightAveraging: Double?
    /// Inverse strength C of the penalty of `lbfgs`; nil to choose it by cross-validation.
    package var regularization: Double?
    /// How the learning rate moves.
    package var schedule = ThawTraining.Schedule.cosineAnnealing
    /// Share of the target probability spread over all classes.
    package var labelSmoothing = 0.0
    /// See ``ClassWeights``.
    package var classWeights = ClassWeights.none
    /// How training photos are varied.
    package var augmentation = Augmentation.none
    /// Mixing of the photos of a batch with one another; nil does not.
    package var mixing: BatchMixing?
    /// See ``Views``.
    package var views = Views.cached(4)
    /// See ``KeptPixels``; says something where views are fresh.
    package var keptPixels = KeptPixels.shrunk
    /// Sides of the network's input that training goes through, one after the other; the last is
    /// the network's own. Empty for that alone.
    package var sizes: [Int] = []
    /// Epochs without a better validation loss before training stops; 0 never stops early.
    package var patience = 20

    /// The defaults of head training.
    package init() {}

    /// Whether every epoch draws its own look at each photo.
    package var drawsAnew: Bool { augmentation.isActive && views == .fresh }
  }

  /// The largest learning rate of each layer group, input to head.
  package enum LearningRate: Hashable, Sendable {
    /// One for all.
    case single(Double)
    /// One for each.
    case list([Double])
    /// Rising geometrically; without a start a tenth of the end for every group but the last.
    ///
    /// - Source: fastai v2, `slice(from, to)` and `slice(to)`.
    case range(from: Double?, to: Double)
    /// The last group's; each group before it has `decay` times the next.
    case layerwise(to: Double, decay: Double)
  }
}

extension Recipe.Train {
  /// The defaults of fine-tuning (Documentation/fine-tuning.md says how they were chosen).
  package static var fineTuning: Recipe.Train {
    var train = Recipe.Train()
    train.solver = .adamw
    train.epochs = 15
    train.batch = 16
    train.schedule = ThawTraining.Schedule.cosineAnnealing.warmedUp(epochs: 1)
    train.weightDecay = 1e-2
    train.weightAveraging = 0.98
    train.augmentation = .photo
    train.views = .fresh
    train.patience = 0
    return train
  }
}
