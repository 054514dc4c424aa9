// SPDX-License-Identifier: Apache-2.0

package import SystemPackage
import ThawConfiguration
import ThawFiles

/// A folder of cards, one YAML file a checkpoint, and the folder that weights are put in.
///
/// In a checkout both are `Pretrained/`. An installed program brings its cards with it and puts
/// weights, and the cards of weights that a user imports, into the user's own folder. What is in
/// there counts first.
package struct PretrainedStore: Sendable {
  /// What becomes of weights that are asked for and not here.
  package enum MissingWeights: Sendable {
    /// ``BackboneError/weightsMissing(card:path:)``.
    case refused
    /// They are fetched first; see ``PretrainedStore/fetch(_:report:checkpoint:)``.
    case fetched(
      report: @Sendable (String) -> Void, checkpoint: @Sendable () throws -> Void)
  }

  /// Where the cards are.
  package let cardFolder: FilePath
  /// Where weights and new cards are put; it may not be there yet. Nil when no place is known.
  let ownFolder: FilePath?
  /// What becomes of weights that are asked for and not here.
  package var missingWeights = MissingWeights.refused

  /// Keeps cards and weights in `directory`.
  package init(directory: FilePath) { self.init(cards: directory, own: directory) }

  /// Reads cards from `cards`, and keeps weights and new cards in `own`.
  package init(cards: FilePath, own: FilePath?) {
    cardFolder = cards
    ownFolder = own
  }

  /// All cards by name.
  ///
  /// - Throws: ``BackboneError``, `ConfigurationError` when one is wrong.
  package func cards() throws -> [BackboneCard] {
    var names: Set<FilePath.Component> = []
    for folder in folders where FileSystem.exists(folder) {
      names.formUnion(try FileSystem.list(folder).filter { $0.string.hasSuffix(".yml") })
    }
    return try names.sorted { $0.string < $1.string }.map { try BackboneCard(file: file($0)) }
  }

  /// The card called `name`.
  ///
  /// - Throws: ``BackboneError/unknownCard(_:near:)``.
  package func card(named name: String) throws -> BackboneCard {
    // By its file's name first, so that a mistake in another card does not matter.
    if let component = FilePath.Component(name + ".yml"), component.kind == .regular {
      let file = file(component)
      if FileSystem.exists(file) { return try BackboneCard(file: file) }
    }
    let cards = try cards()
    guard let card = cards.first(where: { $0.name == name }) else {
      let near = Suggestions.of(name, among: cards.map(\.name)).compactMap { name in
        cards.first { $0.name == name }.map { "'\(name)' (\($0.facts))" }
      }
      throw BackboneError.unknownCard(name, near: near)
    }
    return card
  }

  /// Where the weights of `card` are or will be.
  package func weights(of card: BackboneCard) -> FilePath { file(named: card.file) }

  /// Whether the weights of `card` are here (their hash is checked when they are read).
  package func hasWeights(of card: BackboneCard) -> Bool { FileSystem.exists(weights(of: card)) }

  /// What the network of `card` is built by: its name, or the ONNX file.
  ///
  /// - Throws: ``BackboneError``, `CheckpointError` and `NetworkError` of the file.
  package func architecture(of card: BackboneCard) throws -> Architecture {
    guard card.architecture == Architecture.onnxName else {
      return try Architecture(named: card.architecture)
    }
    return try PretrainedBackbone(card, from: self).architecture
  }
}

extension PretrainedStore {
  /// The folders that are looked in, in their order.
  private var folders: [FilePath] {
    ownFolder == cardFolder ? [cardFolder] : [ownFolder, cardFolder].compactMap { $0 }
  }

  /// The file `name` where it is there; otherwise where it would be put.
  func file(named name: String) -> FilePath { file { $0.appending(name) } }

  private func file(_ name: FilePath.Component) -> FilePath { file { $0.appending(name) } }

  private func file(_ place: (FilePath) -> FilePath) -> FilePath {
    let places = folders.map(place)
    return places.first(where: FileSystem.exists) ?? places.first ?? place(cardFolder)
  }

  /// Where weights and new cards are put, for people; nil when no place is known.
  package var place: String? { ownFolder?.displayed }

  /// The folder that weights and new cards are put in, created if need be.
  ///
  /// - Throws: ``BackboneError/noPlace``, `FileError`.
  func directory() throws -> FilePath {
    guard let ownFolder else { throw BackboneError.noPlace }
    try FileSystem.createDirectory(ownFolder)
    return ownFolder
  }
}
