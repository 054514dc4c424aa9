// SPDX-License-Identifier: Apache-2.0

import Foundation
package import SystemPackage
import ThawFiles

/// The folder `Pretrained/`: one YAML card a checkpoint, and beside it the weights once fetched.
package struct PretrainedStore: Sendable {
  /// What becomes of weights that are asked for and not here.
  package enum MissingWeights: Sendable {
    /// ``BackboneError/weightsMissing(card:path:)``.
    case refused
    /// They are fetched first; see ``PretrainedStore/fetch(_:report:checkpoint:)``.
    case fetched(
      report: @Sendable (String) -> Void, checkpoint: @Sendable () throws -> Void)
  }

  /// The folder.
  package let directory: FilePath
  /// What becomes of weights that are asked for and not here.
  package var missingWeights = MissingWeights.refused

  /// Uses `directory`.
  package init(directory: FilePath) { self.directory = directory }

  /// Finds the folder: `THAW_PRETRAINED` in the environment, `Pretrained` in the working directory,
  /// or in a directory above the program itself (a checkout's root).
  ///
  /// - Throws: ``BackboneError/badCard(file:reason:)`` when there is none.
  package static func locate() throws(BackboneError) -> PretrainedStore {
    if let named = ProcessInfo.processInfo.environment["THAW_PRETRAINED"] {
      guard FileSystem.exists(FilePath(named)) else {
        throw .badCard(
          file: named, reason: "no such folder. Set THAW_PRETRAINED to the folder of cards.")
      }
      return PretrainedStore(directory: FilePath(named))
    }
    var candidates: [FilePath] = ["Pretrained"]
    var place = FilePath(
      (try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")) ?? "")
    while place.removeLastComponent() { candidates.append(place.appending("Pretrained")) }
    if let found = candidates.first(where: FileSystem.exists) {
      return PretrainedStore(directory: found)
    }
    throw .badCard(
      file: "Pretrained",
      reason:
        "no such folder here or above the program. Set THAW_PRETRAINED to the folder of cards.")
  }

  /// All cards by name.
  ///
  /// - Throws: ``BackboneError``, `ConfigurationError` when one is wrong.
  package func cards() throws -> [BackboneCard] {
    let names = try FileSystem.list(directory).filter { $0.string.hasSuffix(".yml") }
    return try names.map { try BackboneCard(file: directory.appending($0)) }
  }

  /// The card called `name`.
  ///
  /// - Throws: ``BackboneError/unknownCard(_:known:)``.
  package func card(named name: String) throws -> BackboneCard {
    // By its file's name first, so that a mistake in another card does not matter.
    if let component = FilePath.Component(name + ".yml"), component.kind == .regular {
      let file = directory.appending(component)
      if FileSystem.exists(file) { return try BackboneCard(file: file) }
    }
    let cards = try cards()
    guard let card = cards.first(where: { $0.name == name }) else {
      throw BackboneError.unknownCard(name, known: cards.map(\.name))
    }
    return card
  }

  /// Where the weights of `card` are or will be.
  package func weights(of card: BackboneCard) -> FilePath { directory.appending(card.file) }

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
