// SPDX-License-Identifier: Apache-2.0

/// Everything that decides what a pipeline does, apart from the photos: `Pipelines/*.yml` hold one
/// each, and a run keeps the one it used as `recipe.yml`.
///
/// Every field has a default, so an empty file is a recipe. Unknown keys are errors.
public struct Recipe: Hashable, Sendable {
  /// A name for titles and messages.
  public var name = "run"
  /// Name of the card in `Pretrained/`.
  public var backbone = "efficientnet_lite0"
  /// Seed of every random stream.
  public var seed: UInt64 = 42
  /// What happens to the folder of photos.
  public var data = Data()
  /// How photos become tensors.
  public var image = Image()
  /// The layers that replace the backbone's own classifier.
  public var head = Head()
  /// How the head is trained.
  public var train = Train()
  /// How the result is judged.
  public var evaluate = Evaluate()

  /// The default recipe.
  public init() {}

  /// What happens to the folder of photos.
  public struct Data: Hashable, Sendable {
    /// What to do about photos that cannot be decoded.
    public enum BadImagePolicy: String, Hashable, Sendable, CaseIterable {
      /// List all of them and stop before training.
      case stop
      /// List all of them and go on without.
      case skip
    }
    /// Share of the training photos held out for validation, when there is no folder for it.
    public var valid = 0.2
    /// Share held out for the test split, when there is no folder for it.
    public var test = 0.0
    /// See ``BadImagePolicy``.
    public var onBadImage = BadImagePolicy.stop
  }

  /// How photos become tensors; everything else is the card's.
  public struct Image: Hashable, Sendable {
    /// Side of the network's input in pixels; nil for the card's.
    public var size: Int?
  }

  /// The layers that replace the backbone's own classifier.
  public struct Head: Hashable, Sendable, Codable {
    /// Width of a hidden layer; nil for none.
    public var hidden: Int?
    /// Probability of dropping a feature in training.
    public var dropout = 0.2
  }

  /// How the head is trained on cached features.
  public struct Train: Hashable, Sendable {
    /// How the weights are found.
    public enum Solver: String, Hashable, Sendable, CaseIterable {
      /// Stochastic gradient descent with momentum.
      case sgd
      /// Adam with bias correction.
      case adam
      /// Multinomial logistic regression by L-BFGS: convex, deterministic, seconds.
      case lbfgs
    }
    /// How the learning rate moves.
    public enum Schedule: String, Hashable, Sendable, CaseIterable {
      /// Stays where it is.
      case constant
      /// Falls from the full rate to zero along half a cosine.
      case cosine
      /// Cosine annealing with warm restarts.
      case sgdr
    }
    /// How much each class counts in the loss.
    public enum ClassWeights: String, Hashable, Sendable, CaseIterable {
      /// Every photo counts the same.
      case none
      /// Every class counts the same.
      case balanced
    }
    /// See ``Solver``.
    public var solver = Solver.sgd
    /// Passes over the training photos; with `sgdr` rounded up to whole cycles.
    public var epochs = 60
    /// Photos in one step.
    public var batch = 32
    /// The largest learning rate of the schedule; nil for the solver's default.
    public var learningRate: Double?
    /// Momentum of `sgd`.
    public var momentum = 0.9
    /// Weight decay on weights (not on biases); for `lbfgs` see ``regularization``.
    public var weightDecay = 1e-3
    /// Inverse strength C of the penalty of `lbfgs`; nil to choose it by cross-validation.
    public var regularization: Double?
    /// See ``Schedule``.
    public var schedule = Schedule.cosine
    /// Epochs of the first cycle of `sgdr`.
    public var cycleLength = 4
    /// Factor from one cycle's length to the next.
    public var cycleMultiplier = 2
    /// Share of the target probability spread over all classes.
    public var labelSmoothing = 0.0
    /// See ``ClassWeights``.
    public var classWeights = ClassWeights.none
    /// Epochs without a better validation loss before training stops; 0 never stops early.
    public var patience = 20
  }

  /// How the result is judged.
  public struct Evaluate: Hashable, Sendable {
    /// Views of each photo whose probabilities are averaged; 1 for the centre crop alone.
    public var tta = 1
  }
}
