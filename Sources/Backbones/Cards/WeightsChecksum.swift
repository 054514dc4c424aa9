// SPDX-License-Identifier: Apache-2.0

import SystemPackage
import ThawFiles

/// The hash by which a card names its file, in the form its publisher gives it.
///
/// Whatever the form, the store records the full SHA-256 of a file that passed and compares with
/// that from then on.
package enum WeightsChecksum: Sendable, Hashable, CustomStringConvertible {
  /// All 64 hexadecimal digits of the SHA-256.
  case sha256(String)
  /// The first digits of it, 8 or more: torchvision publishes them in the file's name.
  case sha256Prefix(String)
  /// 32 hexadecimal digits, as Keras publishes them. Guards against damage, not against forgery.
  case md5(String)
  /// The publisher gives none: the first download is believed, and recorded.
  case unpublished

  /// For example `sha256 5793…`.
  package var description: String {
    switch self {
    case .sha256(let digits): "sha256 \(digits)"
    case .sha256Prefix(let digits): "sha256 \(digits)…"
    case .md5(let digits): "md5 \(digits)"
    case .unpublished: "no published hash"
    }
  }

  /// What is known of the contents before they were seen; empty for ``unpublished``.
  package var digits: String {
    switch self {
    case .sha256(let digits), .sha256Prefix(let digits), .md5(let digits): digits
    case .unpublished: ""
    }
  }

  /// What the file at `path` hashes to.
  struct Found {
    let sha256: String
    /// Nil when it fits; otherwise what was found instead, in the form of the checksum.
    let mismatch: String?
  }

  /// Hashes a file, piece by piece.
  ///
  /// - Throws: `FileError`.
  func check(_ path: FilePath) throws -> Found {
    var full = SHA256()
    var digest = MD5()
    let wantsMD5 = if case .md5 = self { true } else { false }
    try FileSystem.forEachPiece(of: path) { bytes in
      full.update(bytes)
      if wantsMD5 { digest.update(bytes) }
    }
    let sha256 = full.hexadecimalDigest
    let mismatch: String? =
      switch self {
      case .sha256(let digits): digits == sha256 ? nil : "sha256 \(sha256)"
      case .sha256Prefix(let digits): sha256.hasPrefix(digits) ? nil : "sha256 \(sha256)"
      case .md5(let digits):
        digest.hexadecimalDigest == digits ? nil : "md5 \(digest.hexadecimalDigest)"
      case .unpublished: nil
      }
    return Found(sha256: sha256, mismatch: mismatch)
  }
}
