// SPDX-License-Identifier: Apache-2.0

public import Checkpoints
public import Images
import Network

/// What a checkpoint of unknown origin is, how sure that is, and why.
public struct CheckpointIdentity: Sendable {
  /// How far the architecture is known.
  public enum Certainty: String, Sendable, Codable {
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
  public let certainty: Certainty
  /// The architecture that fits best; nil when unknown.
  public let best: WeightFit?
  /// Other architectures that fit as well.
  public let rivals: [String]
  /// How photos are usually prepared for these weights; a file of weights never says it.
  public let preprocessing: Preprocessing?
  /// Where ``preprocessing`` is from, for people.
  public let preprocessingReason: String
  /// The card of such weights, when there is one.
  public let card: BackboneCard?

  /// Compares `checkpoint` with every architecture.
  ///
  /// - Parameters:
  ///   - cards: where preprocessing and class names of known weights are from.
  ///   - architecture: only this one, when the user says which it is.
  /// - Throws: ``BackboneError`` when `architecture` is unknown.
  public init(
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
    if let card {
      preprocessing = card.preprocessing
      preprocessingReason = "as the card \(card.name) says; the file does not say it"
    } else {
      preprocessing = best.map {
        CheckpointIdentity.usualPreprocessing(of: $0.architecture, isKeras: isKeras)
      }
      preprocessingReason = "usual for these weights; the file does not say it"
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
    if architecture.hasPrefix("inception") { return .tf(inputSize: size) }
    guard isKeras else { return .torch(inputSize: size) }
    if architecture.hasPrefix("vgg") || architecture.hasPrefix("resnet") {
      return .caffe(inputSize: size)
    }
    return architecture.hasPrefix("mobilenet") ? .tf(inputSize: size) : .torch(inputSize: size)
  }
}
