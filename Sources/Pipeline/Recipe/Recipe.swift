// SPDX-License-Identifier: Apache-2.0

public import Network

/// Everything that decides what a pipeline does, apart from the photos: `Pipelines/*.yml` hold one
/// each, and a run keeps the one it used as `recipe.yml`. Documentation/recipes.md lists every key.
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
  /// How the numbers of the feature cache are stored while training.
  public var cache = CachePrecision.float32
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

  /// How the numbers of the feature cache are stored.
  public enum CachePrecision: String, Hashable, Sendable, CaseIterable {
    /// 4 bytes a number, exact.
    case float32
    /// 2 bytes a number, 11 significant bits: half the disk, nearly the same training.
    case float16
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

  /// How the backbone is thawed once the head is trained.
  public struct FineTune: Hashable, Sendable {
    /// Whether `fit` fine-tunes; `thaw fine-tune` always does.
    public var enabled = true
    /// Layer groups before this one stay frozen; negative counts from the end (-1: the head alone,
    /// 0: everything trains).
    public var freezeTo = 0
    /// Names of the groups that train; empty to go by ``freezeTo``.
    public var groups: [String] = []
    /// Epochs of each step of a gradual unfreezing: the head alone, then one more group with every
    /// number. Empty for a single phase.
    public var gradual: [Int] = []
    /// The phases, spelt out; empty for a single one or ``gradual``.
    public var phases: [Phase] = []
    /// Batch norms of frozen groups.
    public var frozenBatchNorm = BatchNormMode.inference
    /// Batch norms of the groups that train.
    public var trainableBatchNorm = BatchNormMode.inference
    /// Whether weights between those at the start and those at the end are judged too, and the best
    /// kept.
    public var interpolation = true
    /// Everything else, as for the head.
    public var train = Train.fineTuning
  }

  /// How the result is judged.
  public struct Evaluate: Hashable, Sendable {
    /// Test-time augmentation.
    public var tta = TestTime()
    /// Whether the snapshots of the training are averaged in place of its one result.
    public var snapshots = false
  }
}
