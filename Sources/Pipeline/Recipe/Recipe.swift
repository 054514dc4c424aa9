// SPDX-License-Identifier: Apache-2.0

public import Images
public import Network

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
  /// How the backbone is thawed once the head is trained.
  public var fineTune = FineTune()
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
    /// Batch norms of the frozen backbone while the head trains; nil for `inference`. With any other
    /// mode the whole network runs in training and nothing but pixels is cached.
    public var frozenBatchNorm: BatchNormMode?
  }

  /// How layers are trained.
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
      /// Up to the full rate for a quarter of the run, then down; momentum the other way.
      case oneCycle = "one_cycle"
    }
    /// How much each class counts in the loss.
    public enum ClassWeights: String, Hashable, Sendable, CaseIterable {
      /// Every photo counts the same.
      case none
      /// Every class counts the same.
      case balanced
      /// Half-way between the two: weights are the square roots of the balanced ones.
      case squareRoot = "square_root"
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
    /// How training photos are varied.
    public var augmentation = Augmentation.Preset.none
    /// Augmented views of each training photo in the cache; epochs take turns with them.
    public var views = 4
    /// Epochs without a better validation loss before training stops; 0 never stops early.
    public var patience = 20
  }

  /// How the backbone is thawed once the head is trained.
  public struct FineTune: Hashable, Sendable {
    /// Layer groups before this one stay frozen; negative counts from the end (-1: the head alone,
    /// 0: everything trains).
    public var freezeTo = -2
    /// Names of the groups that train; empty to go by ``freezeTo``.
    public var groups: [String] = []
    /// Batch norms of frozen groups.
    public var frozenBatchNorm = BatchNormMode.inference
    /// Batch norms of the groups that train.
    public var trainableBatchNorm = BatchNormMode.inference
    /// Learning rate of the first layer group; the rates rise geometrically to that of the head.
    /// Nil: a tenth of the head's for every group before it.
    public var lowestLearningRate: Double?
    /// Everything else, as for the head.
    public var train = Train.fineTuning
  }

  /// How the result is judged.
  public struct Evaluate: Hashable, Sendable {
    /// Views of each photo whose probabilities are averaged; 1 for the centre crop alone.
    public var tta = 1
  }
}

extension Recipe.Train {
  /// The defaults of fine-tuning: fewer, smaller steps.
  public static var fineTuning: Recipe.Train {
    var train = Recipe.Train()
    train.epochs = 10
    train.batch = 16
    train.learningRate = 1e-2
    train.weightDecay = 1e-4
    train.augmentation = .photo
    train.patience = 5
    return train
  }
}
