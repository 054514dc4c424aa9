// SPDX-License-Identifier: Apache-2.0

package import ThawCheckpoints
package import ThawImages
import ThawNetwork

/// What a checkpoint of unknown origin is, how sure that is, and why.
package struct CheckpointIdentity: Sendable {
  /// How far the architecture is known.
  package enum Certainty: String, Sendable, Codable {
    /// Every tensor fits one architecture and no other.
    case sure
    /// Every tensor fits, but other architectures fit as well: they differ in what no tensor shows.
    case likely
    /// Most tensors fit.
    case partial
    /// No architecture fits half of the tensors.
    case unknown
  }

  /// How sure the architecture is.
  package let certainty: Certainty
  /// The architecture that fits best; nil when unknown.
  package let best: WeightFit?
  /// The architecture that fits most, even when that is little; nil when no name is known.
  package let nearest: WeightFit?
  /// Other architectures that fit as well.
  package let rivals: [String]
  /// Prefixes of other networks in the file that fit as well: a teacher's, an average's.
  package let otherParts: [String]
  /// How photos are prepared for these weights: as the layers of a Keras model say, otherwise as is
  /// usual, for a file of weights alone never says it.
  package let preprocessing: Preprocessing?
  /// Where ``preprocessing`` is from, for people.
  package let preprocessingReason: String
  /// The card of such weights, when there is one.
  package let card: BackboneCard?

  /// Compares `checkpoint` with every architecture.
  ///
  /// - Parameters:
  ///   - cards: where preprocessing and class names of known weights are from.
  ///   - architecture: only this one, when the user says which it is.
  ///   - stated: the one that the file says it is; of two that fit alike it comes first.
  ///   - configuration: the `config.json` beside the file, for what tensors do not show.
  ///   - key: of several networks in the file the one below this prefix.
  /// - Throws: ``BackboneError`` when `architecture` is unknown; `CheckpointError` when the file can no
  ///   longer be read.
  package init(
    _ checkpoint: Checkpoint, cards: [BackboneCard], architecture: String? = nil,
    stated: String? = nil, key: String? = nil, configuration: JSONValue? = nil
  ) throws {
    let transformers = VisionTransformerIdentity.architectures(
      in: checkpoint, configuration: configuration, key: key)
    let listed = Architecture.listed.filter { $0 == stated } + Architecture.listed
    let known =
      try architecture.map { [try Architecture(named: $0)] }
      ?? (transformers.isEmpty ? listed.map(Architecture.init(named:)) : transformers)
    let ranked = WeightFit.all(checkpoint, known, key: key)
    let top = ranked.first
    nearest = top
    let isHalf = top.map { 2 * $0.matched >= $0.needed } ?? false
    best = isHalf || architecture != nil ? top : nil
    let isKeras = [.kerasArchive, .kerasWeights].contains(checkpoint.format)
    rivals = best.map { CheckpointIdentity.rivals(of: $0, in: ranked, isKeras: isKeras) } ?? []
    otherParts = CheckpointIdentity.otherParts(ranked)
    if let best {
      let isSure = rivals.isEmpty && best.openQuestion == nil
      certainty = !best.isComplete ? .partial : isSure ? .sure : .likely
    } else {
      certainty = .unknown
    }
    card = best.flatMap { CheckpointIdentity.card(for: $0.architecture, isKeras, cards) }
    let usual =
      card?.preprocessing
      ?? best.map {
        CheckpointIdentity.usualPreprocessing(of: $0.architecture, isKeras: isKeras)
      }
    if isKeras, let best, let usual,
      let said = try KerasPixels(checkpoint, architecture: best.architecture, usual: usual)
    {
      preprocessing = said.preprocessing
      preprocessingReason = said.reason
    } else {
      preprocessing = usual
      preprocessingReason =
        card.map { "as the card \($0.name) says; the file does not say it" }
        ?? CheckpointIdentity.usualReason(best?.architecture)
    }
  }

  private static func rivals(
    of best: WeightFit, in ranked: [WeightFit], isKeras: Bool
  ) -> [String] {
    guard best.isComplete else { return [] }
    var seen: Set = [best.architecture]
    return ranked.dropFirst().filter { other in
      guard other.isComplete, seen.insert(other.architecture).inserted else { return false }
      // Headless forms of one network have the same weights.
      let isForm =
        best.head == nil
        && other.architecture.split(separator: "_")[0] == best.architecture.split(separator: "_")[0]
      // Keras's definition of a network comes in Keras's files.
      let isElsewhere = !isKeras && other.architecture.hasSuffix("_keras")
      // Which of two EfficientNet-Lites it is is what the file says, or assumed and said.
      let isAssumed =
        other.architecture == best.architecture + "_timm"
        || best.architecture == other.architecture + "_timm"
      return other.matched == best.matched && !isForm && !isElsewhere && !isAssumed
    }.map(\.architecture)
  }

  /// The prefixes under which the best one's network is found again with other tensors.
  private static func otherParts(_ ranked: [WeightFit]) -> [String] {
    guard let best = ranked.first, best.isComplete else { return [] }
    let sources = Set(best.found.values.map { best.prefix + $0.name })
    var result: [String] = []
    for other in ranked.dropFirst()
    where other.isComplete && other.architecture == best.architecture
      && !result.contains(other.prefix)
    {
      // The same tensors under a longer prefix are no other network.
      let isSame = other.found.values.contains { sources.contains(other.prefix + $0.name) }
      if !isSame { result.append(other.prefix) }
    }
    return result
  }

  private static func card(
    for architecture: String, _ isKeras: Bool, _ cards: [BackboneCard]
  ) -> BackboneCard? {
    // A card of one's own says how one's own network is fed, not how others of its architecture are.
    cards.first {
      let isKerasFile = $0.file.hasSuffix(".h5") || $0.file.hasSuffix(".keras")
      return !$0.isOwn && $0.architecture == architecture && isKerasFile == isKeras
    }
  }

  /// - Source: keras.applications' `preprocess_input` of each network; torchvision's and timm's
  ///   defaults.
  static func usualPreprocessing(of architecture: String, isKeras: Bool) -> Preprocessing {
    if let shape = VisionTransformerShape(name: architecture) { return usual(shape) }
    let size = ["inception", "xception"].contains { architecture.hasPrefix($0) } ? 299 : 224
    if architecture.hasPrefix("efficientnet_lite"), architecture.hasSuffix("_timm") {
      return Preprocessing.torch(inputSize: size).withGeometry(interpolation: .bicubic)
    }
    if architecture.hasPrefix("efficientnet_lite") {
      return .efficientNetLite(inputSize: size)
    }
    // torchvision's Inception turns the usual normalisation into [-1, 1] itself.
    if architecture.hasPrefix("inception") {
      return isKeras ? keras(.tf(), size) : .tf(inputSize: size)
    }
    if let usual = usual(efficientNetV2: architecture) { return usual }
    if architecture == "xception" || architecture.hasPrefix("tf_mobilenetv3") {
      return .tf(inputSize: size)
    }
    guard isKeras else { return .torch(inputSize: size) }
    let values: Preprocessing =
      if architecture.hasPrefix("vgg") || architecture.hasPrefix("resnet") {
        .caffe()
      } else {
        architecture.hasPrefix("mobilenet") ? .tf() : .torch()
      }
    return keras(values, size)
  }

  /// EfficientNetV2 is looked at larger than it was trained; what TensorFlow's larger ones, and torchvision's
  /// large one, see lies in [-1, 1].
  private static func usual(efficientNetV2 architecture: String) -> Preprocessing? {
    let sizes = [
      "s": 384, "m": 480, "l": 480, "xl": 512, "b0": 224, "b1": 240, "b2": 260, "b3": 300,
      "rw_t": 288, "rw_s": 384, "rw_m": 416,
    ]
    let prefixes = ["efficientnet_v2_", "efficientnetv2_", "tf_efficientnetv2_"]
    guard let prefix = prefixes.first(where: architecture.hasPrefix) else { return nil }
    let variant = String(architecture.dropFirst(prefix.count))
    guard let size = sizes[variant] else { return nil }
    let isBase = variant.hasPrefix("b")
    let isSymmetric =
      prefix == "tf_efficientnetv2_" && !isBase || architecture == "efficientnet_v2_l"
    let values: Preprocessing = isSymmetric ? .tf(inputSize: size) : .torch(inputSize: size)
    let crops = ["b0": 0.875, "b1": 0.882, "b2": 0.89, "b3": 0.904]
    let isBilinear = ["efficientnet_v2_s", "efficientnet_v2_m"].contains(architecture)
    return Preprocessing(
      inputSize: size, scale: values.scale, mean: values.mean, std: values.std,
      interpolation: isBilinear ? .bilinear : .bicubic, cropFraction: crops[variant] ?? 1)
  }

  /// DeiT's weights are of timm's ViT and have other numbers; no tensor shows which a file's are.
  private static func usualReason(_ architecture: String?) -> String {
    let shape = architecture.flatMap { VisionTransformerShape(name: $0) }
    let isOpen =
      shape.map {
        !$0.hasLayerScale && !$0.isPreNormalized && $0.resampling == .antialiased
          && !$0.isDistilled && $0.pooling != .attention
      } ?? false
    return isOpen
      ? "usual for ViT, where DeiT has ImageNet's mean and deviation (--card); the file does not say it"
      : "usual for these weights; the file does not say it"
  }

  /// timm's and transformers' ViT have [-1, 1], torchvision's, DeiT and DINOv2 ImageNet's mean and deviation, CLIP's
  /// towers those of the photos that OpenAI trained them on.
  private static func usual(_ shape: VisionTransformerShape) -> Preprocessing {
    let size = shape.grid.height * shape.patch
    if shape.resampling == .alignedCorners { return .torch(inputSize: size) }
    // CLIP's towers have a layer norm before their blocks.
    if shape.isPreNormalized {
      return Preprocessing(
        inputSize: size, scale: 1 / 255, mean: [0.48145466, 0.4578275, 0.40821073],
        std: [0.26862954, 0.26130258, 0.27577711], interpolation: .bicubic, cropFraction: 1)
    }
    let values: Preprocessing =
      shape.hasLayerScale || shape.isDistilled ? .torch(inputSize: size) : .tf(inputSize: size)
    return Preprocessing(
      inputSize: size, scale: values.scale, mean: values.mean, std: values.std,
      interpolation: .bicubic, cropFraction: shape.hasLayerScale ? 1 : 0.9)
  }

  /// The geometry of `keras.utils.load_img(path, target_size=...)`: nearest pixel, both sides scaled.
  private static func keras(_ values: Preprocessing, _ size: Int) -> Preprocessing {
    Preprocessing(
      inputSize: size, scale: values.scale, channelOrder: values.channelOrder, mean: values.mean,
      std: values.std, interpolation: .nearest, cropFraction: 1, resizeRule: .squash)
  }
}
