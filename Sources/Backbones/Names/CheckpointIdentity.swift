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
  /// Other architectures that fit as well.
  package let rivals: [String]
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
  /// - Throws: ``BackboneError`` when `architecture` is unknown; `CheckpointError` when the file can no
  ///   longer be read.
  package init(
    _ checkpoint: Checkpoint, cards: [BackboneCard], architecture: String? = nil
  ) throws {
    var fits: [WeightFit] = []
    for name in architecture.map({ [$0] }) ?? Architecture.names {
      fits.append(WeightFit(checkpoint, try Architecture(named: name)))
    }
    // Stable: of equal fits the first in the list of architectures, which is the usual one.
    let ranked = fits.enumerated().sorted { left, right in
      left.element.rank == right.element.rank
        ? left.offset < right.offset : left.element.rank > right.element.rank
    }.map(\.element)
    let top = ranked.first
    let isHalf = top.map { 2 * $0.matched >= $0.needed } ?? false
    best = isHalf || architecture != nil ? top : nil
    let isKeras = [.kerasArchive, .kerasWeights].contains(checkpoint.format)
    rivals = best.map { CheckpointIdentity.rivals(of: $0, in: ranked, isKeras: isKeras) } ?? []
    if let best {
      certainty = !best.isComplete ? .partial : rivals.isEmpty ? .sure : .likely
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
        ?? "usual for these weights; the file does not say it"
    }
  }

  private static func rivals(
    of best: WeightFit, in ranked: [WeightFit], isKeras: Bool
  ) -> [String] {
    guard best.isComplete else { return [] }
    return ranked.dropFirst().filter { other in
      // Headless forms of one network have the same weights.
      let isForm =
        best.head == nil
        && other.architecture.split(separator: "_")[0] == best.architecture.split(separator: "_")[0]
      // Keras's definition of a network comes in Keras's files.
      let isElsewhere = !isKeras && other.architecture.hasSuffix("_keras")
      return other.rank == best.rank && !isForm && !isElsewhere
    }.map(\.architecture)
  }

  private static func card(
    for architecture: String, _ isKeras: Bool, _ cards: [BackboneCard]
  ) -> BackboneCard? {
    cards.first {
      let isKerasFile = $0.file.hasSuffix(".h5") || $0.file.hasSuffix(".keras")
      return $0.architecture == architecture && isKerasFile == isKeras
    }
  }

  /// - Source: keras.applications' `preprocess_input` of each network; torchvision's and timm's
  ///   defaults.
  static func usualPreprocessing(of architecture: String, isKeras: Bool) -> Preprocessing {
    let size = architecture.hasPrefix("inception") ? 299 : 224
    if architecture.hasPrefix("efficientnet_lite") {
      return .efficientNetLite(inputSize: size)
    }
    // torchvision's Inception turns the usual normalisation into [-1, 1] itself.
    if architecture.hasPrefix("inception") {
      return isKeras ? keras(.tf(), size) : .tf(inputSize: size)
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

  /// The geometry of `keras.utils.load_img(path, target_size=...)`: nearest pixel, both sides scaled.
  private static func keras(_ values: Preprocessing, _ size: Int) -> Preprocessing {
    Preprocessing(
      inputSize: size, scale: values.scale, channelOrder: values.channelOrder, mean: values.mean,
      std: values.std, interpolation: .nearest, cropFraction: 1, resizeRule: .squash)
  }
}
