// SPDX-License-Identifier: Apache-2.0

package import ThawDatasets
package import ThawImages
package import ThawNetwork

/// Everything that decides what a pipeline does, apart from the photos: `Pipelines/*.yml` hold one
/// each, and a run keeps the one it used as `recipe.yml`. Documentation/recipes.md lists every key.
///
/// Every field has a default, so an empty file is a recipe. Unknown keys are errors.
package struct Recipe: Hashable, Sendable {
  /// A name for titles and messages.
  package var name = "run"
  /// Name of the card in `Pretrained/`.
  package var backbone = "efficientnet_lite0"
  /// Seed of every random stream.
  package var seed: UInt64 = 42
  /// What happens to the folder of photos.
  package var data = Data()
  /// How photos become tensors.
  package var image = Image()
  /// About how long `fit` may take; nil for as long as it takes.
  package var minutes: Double?
  /// In which numbers the network is computed wherever it does not train.
  package var precision = PrecisionChoice.float32
  /// How the numbers of the feature cache are stored while training.
  package var cache = CachePrecision.float32
  /// The layers that replace the backbone's own classifier.
  package var head = Head()
  /// How the head is trained.
  package var train = Train()
  /// How the backbone is thawed once the head is trained.
  package var fineTune = FineTune()
  /// How the result is judged.
  package var evaluate = Evaluate()

  /// The default recipe.
  package init() {}

  /// What happens to the folder of photos.
  package struct Data: Hashable, Sendable {
    /// What to do about photos that cannot be decoded.
    package enum BadImagePolicy: String, Hashable, Sendable, CaseIterable {
      /// List all of them and stop before training.
      case stop
      /// List all of them and go on without.
      case skip
    }
    /// How the folders are arranged.
    package enum Layout: String, Hashable, Sendable, CaseIterable {
      /// By their names.
      case auto
      /// Every folder is a class.
      case classes
      /// Split folders hold the classes.
      case splits
    }
    /// See ``Layout``.
    package var layout = Layout.auto
    /// Share of the training photos held out for validation, when there is no folder for it.
    package var valid = 0.2
    /// Share held out for the test split, when there is no folder for it.
    package var test = 0.0
    /// See ``BadImagePolicy``.
    package var onBadImage = BadImagePolicy.stop
    /// A table of labels in place of class folders; empty for none.
    package var labels = ""
    /// Names of the table's columns, as `path=A,label=B,split=C`; empty to find them.
    package var tableColumns = ""
    /// Whether a photo may have several labels.
    package var severalLabels = LabelCount.auto
    /// What stands between several labels in one cell of the table; empty to find it.
    package var labelSeparator = ""
    /// What keeps photos together in one split; empty for nothing.
    package var groupBy = ""
    /// What to do about photos that show the same picture.
    package var nearDuplicates = NearDuplicatePolicy.group
    /// What to do about photos that are in folders of several classes.
    package var conflictingLabels = ConflictPolicy.stop
    /// A folder or archive of photos without labels that may help the head; empty for none.
    package var unlabelled = ""

    /// The defaults.
    package init() {}
  }

  /// How photos become tensors; everything else is the card's.
  package struct Image: Hashable, Sendable {
    /// What is done with colour profiles inside photos.
    package enum ColorProfiles: String, Hashable, Sendable, CaseIterable {
      /// Colours become sRGB's.
      case convert
      /// Numbers are taken for sRGB's whatever they are.
      case ignore
    }
    /// What is made of 16-bit samples.
    package enum SixteenBit: String, Hashable, Sendable, CaseIterable {
      /// Their high byte, whatever they use of it.
      case highByte = "high-byte"
      /// What uses 8, 10, 12 or 14 bits is spread over the whole range.
      case stretch
    }
    /// Side of the network's input in pixels; nil for the card's.
    package var size: Int?
    /// See ``ColorProfiles``.
    package var colorProfiles = ColorProfiles.convert
    /// See ``SixteenBit``.
    package var sixteenBit = SixteenBit.highByte
    /// Most pixels of a photo; nil for Pillow's limit.
    package var maxPixels: Int?

    /// What a contract says of it.
    package var reading: PixelReading {
      var reading = PixelReading()
      reading.convertsProfiles = colorProfiles == .convert
      reading.stretchesSixteenBits = sixteenBit == .stretch
      if let maxPixels { reading.maximumPixels = maxPixels }
      return reading
    }

    /// A network's contract as these settings change it.
    package func contract(_ card: Preprocessing) -> Preprocessing {
      (size.map(card.withInputSize) ?? card).with(reading)
    }
  }

  /// In which numbers the network is computed wherever it does not train.
  package enum PrecisionChoice: String, Hashable, Sendable, CaseIterable {
    /// See `Precision.float32`.
    case float32
    /// See `Precision.bfloat16`.
    case bfloat16
    /// `bfloat16` where the processor has it; a run keeps what was decided when it was prepared.
    case auto

    /// The decision, on a processor that computes in bfloat16 or does not.
    package func decided(hasBFloat16: Bool) -> Precision {
      switch self {
      case .float32: .float32
      case .bfloat16: .bfloat16
      case .auto: hasBFloat16 ? .bfloat16 : .float32
      }
    }

    /// The choice that is this decision; nil for bytes, in which nothing is trained.
    package init?(_ precision: Precision) {
      switch precision {
      case .float32: self = .float32
      case .bfloat16: self = .bfloat16
      case .int8: return nil
      }
    }
  }

  /// How the numbers of the feature cache are stored.
  package enum CachePrecision: String, Hashable, Sendable, CaseIterable {
    /// 4 bytes a number, exact.
    case float32
    /// 2 bytes a number, 11 significant bits: half the disk, nearly the same training.
    case float16
  }

  /// The layers that replace the backbone's own classifier.
  package struct Head: Hashable, Sendable, Codable {
    /// Width of a hidden layer; nil for none.
    package var hidden: Int?
    /// Probability of dropping a feature in training.
    package var dropout = 0.2
    /// Batch norms of the frozen backbone while the head trains; nil for `inference`. With any other
    /// mode the whole network runs in training and nothing but pixels is cached.
    package var frozenBatchNorm: BatchNormMode?
  }

  /// How the backbone is thawed once the head is trained.
  package struct FineTune: Hashable, Sendable {
    /// Whether `fit` fine-tunes; `thaw fine-tune` always does.
    package var enabled = true
    /// Layer groups before this one stay frozen; negative counts from the end (-1: the head alone,
    /// 0: everything trains).
    package var freezeTo = 0
    /// Names of the groups that train; empty to go by ``freezeTo``.
    package var groups: [String] = []
    /// Epochs of each step of a gradual unfreezing: the head alone, then one more group with every
    /// number. Empty for a single phase.
    package var gradual: [Int] = []
    /// The phases, spelt out; empty for a single one or ``gradual``.
    package var phases: [Phase] = []
    /// Batch norms of frozen groups.
    package var frozenBatchNorm = BatchNormMode.inference
    /// Batch norms of the groups that train.
    package var trainableBatchNorm = BatchNormMode.inference
    /// Whether weights between those at the start and those at the end are judged too, and the best
    /// kept.
    package var interpolation = true
    /// Epochs after which training ends, although its schedule has more; nil for all of them.
    package var stopAfter: Int?
    /// Everything else, as for the head.
    package var train = Train.fineTuning
  }

  /// How the result is judged.
  package struct Evaluate: Hashable, Sendable {
    /// Test-time augmentation.
    package var tta = TestTime()
    /// Whether the snapshots of the training are averaged in place of its one result.
    package var snapshots = false
  }
}
