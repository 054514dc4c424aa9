// SPDX-License-Identifier: Apache-2.0

import Foundation
package import SystemPackage
import ThawFiles

extension PretrainedStore {
  /// Makes sure the weights of `card` are here with the right hash, downloading them if need be.
  ///
  /// A download that was cut off, by the network, Ctrl-C or a kill, leaves its part in
  /// `.fetch-NAME/` and the next call continues it. The file gets its name only once its hash is
  /// right.
  ///
  /// - Parameter report: called with what is about to happen, a sentence.
  /// - Parameter checkpoint: called ten times a second; what it throws ends the download.
  /// - Returns: whether anything was downloaded.
  /// - Throws: ``BackboneError``, `FileError` (also when another process fetches the same card),
  ///   what `checkpoint` throws.
  @discardableResult
  package func fetch(
    _ card: BackboneCard, report: (String) -> Void, checkpoint: () throws -> Void = {}
  ) throws -> Bool {
    if hasWeights(of: card) {
      try verify(card)
      return false
    }
    let directory = try directory()
    let work = directory.appending(".fetch-\(card.name)")
    try FileSystem.createDirectory(work)
    let lock = try DirectoryLock(work)
    defer { withExtendedLifetime(lock) {} }
    let target = card.source.target(in: work)
    defer {
      if !FileSystem.exists(target) { try? FileManager.default.removeItem(atPath: work.string) }
    }
    let isContinued = FileSystem.exists(target)
    report(
      (isContinued ? "Continuing to fetch" : "Fetching") + " \(card.name) from "
        + "\(card.source.displayed) into \(directory.displayed)")
    do {
      try place(card, card.source.download(into: work, checkpoint: checkpoint))
    } catch BackboneError.wrongHash where isContinued {
      report("The parts do not fit together: fetching \(card.name) again from the start")
      try place(card, card.source.download(into: work, checkpoint: checkpoint))
    }
    return true
  }

  /// Gives a download its name if its hash is right, and removes it otherwise.
  private func place(_ card: BackboneCard, _ download: FilePath) throws {
    let found = try card.checksum.check(download)
    if let mismatch = found.mismatch {
      try FileSystem.remove(download)
      throw BackboneError.wrongHash(
        path: card.source.displayed, expected: card.checksum.description, found: mismatch,
        advice: "What was downloaded has been removed; fetch it again, or check the card.")
    }
    try FileSystem.move(download, to: try directory().appending(card.file))
    try record(found.sha256, of: card)
  }

  /// Takes the weights of `card` from a file that was downloaded by other means.
  ///
  /// - Throws: ``BackboneError/wrongHash(path:expected:found:advice:)``, `FileError`.
  package func importWeights(of card: BackboneCard, from file: FilePath) throws {
    let found = try card.checksum.check(file)
    if let mismatch = found.mismatch {
      throw BackboneError.wrongHash(
        path: file.displayed, expected: card.checksum.description, found: mismatch,
        advice: "To use other weights of the same network, give them a card of their own: --name.")
    }
    try FileSystem.copy(file, to: try directory().appending(card.file))
    try record(found.sha256, of: card)
  }
}
