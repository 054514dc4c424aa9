// SPDX-License-Identifier: Apache-2.0

import SystemPackage
import ThawFiles

extension PretrainedStore {
  /// Makes sure that the weights of `card` are here and have the right hash, fetching what is
  /// missing when ``missingWeights`` says so. Whatever reads weights calls this first.
  ///
  /// - Throws: as ``fetch(_:report:checkpoint:)`` and ``verify(_:)``.
  package func provide(_ card: BackboneCard) throws {
    guard case .fetched(let report, let checkpoint) = missingWeights else {
      return try verify(card)
    }
    try fetch(card, report: report, checkpoint: checkpoint)
  }

  /// Checks the hash of weights that are here.
  ///
  /// A file whose card knows less than the whole SHA-256 is recorded when it first passes, in
  /// `FILE.sha256` (`sha256sum -c` reads it), and must stay what it was from then on.
  ///
  /// - Throws: ``BackboneError/wrongHash(path:expected:found:advice:)`` or
  ///   ``BackboneError/weightsMissing(card:path:)``.
  package func verify(_ card: BackboneCard) throws {
    let path = weights(of: card)
    guard hasWeights(of: card) else {
      throw BackboneError.weightsMissing(card: card.name, path: path.displayed)
    }
    let found = try card.checksum.check(path)
    let recorded = try recordedHash(of: card)
    let mismatch =
      found.mismatch ?? (recorded.map { $0 == found.sha256 } == false ? found.sha256 : nil)
    if let mismatch {
      throw BackboneError.wrongHash(
        path: path.displayed,
        expected: found.mismatch == nil
          ? "the sha256 recorded when it came, \(recorded ?? "")" : card.checksum.description,
        found: mismatch, advice: "Remove the file and fetch it again.")
    }
    // A place that cannot be written to is no reason not to use the weights.
    if recorded == nil { try? record(found.sha256, of: card) }
  }

  /// The whole SHA-256 of the weights of `card`, from the card or from the record of the first
  /// download; nil when neither knows it.
  package func sha256(of card: BackboneCard) -> String? {
    if case .sha256(let digits) = card.checksum { return digits }
    return (try? recordedHash(of: card)) ?? nil
  }

  func record(_ sha256: String, of card: BackboneCard) throws {
    if case .sha256 = card.checksum { return }
    try AtomicFile.write(
      try directory().appending(recordName(of: card)), text: "\(sha256)  \(card.file)\n")
  }

  private func recordedHash(of card: BackboneCard) throws -> String? {
    let file = file(named: recordName(of: card))
    guard FileSystem.exists(file) else { return nil }
    let text = String(decoding: try FileSystem.read(file, limit: 4096), as: UTF8.self)
    let digits = text.prefix { $0.isHexDigit }
    guard digits.count == 64 else {
      throw BackboneError.badCard(
        file: file.displayed, reason: "no sha256 in it. Remove it to have it written anew.")
    }
    return digits.lowercased()
  }

  private func recordName(of card: BackboneCard) -> String { card.file + ".sha256" }
}
