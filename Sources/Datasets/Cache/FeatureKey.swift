// SPDX-License-Identifier: Apache-2.0

import ThawFiles

/// What a cached row of features was computed from: a photo's contents and a view of it.
package struct FeatureKey: Sendable, Hashable {
  /// Hash of the photo's contents, 64 lower-case hexadecimal digits.
  package let content: String
  /// The view's name, such as `center` or `augmented 3 seed 7`; equal names mean equal pixels.
  package let view: String

  /// Names a row.
  package init(content: String, view: String) {
    self.content = content
    self.view = view
  }

  /// Names the row of a photo under a view.
  ///
  /// AVIF used to be decoded with colours up to 25 levels away from what they are now: rows of then are not
  /// those of the pixels that prediction sees.
  package init(_ record: Manifest.Record, view: String) {
    self.init(
      content: record.sha256, view: record.format == "AVIF" ? view + " of whole colours" : view)
  }
}

/// A ``FeatureKey`` as it is stored: the content's hash and the first half of the view name's hash.
struct FeatureID: Hashable {
  static let byteCount = 48

  private let words: (UInt64, UInt64, UInt64, UInt64, UInt64, UInt64)

  static func == (left: FeatureID, right: FeatureID) -> Bool {
    (left.words.0, left.words.1, left.words.2) == (right.words.0, right.words.1, right.words.2)
      && (left.words.3, left.words.4, left.words.5)
        == (right.words.3, right.words.4, right.words.5)
  }

  func hash(into hasher: inout Hasher) {
    hasher.combine(words.0)
    hasher.combine(words.4)
  }

  /// Reads 48 bytes.
  init(_ bytes: UnsafeRawBufferPointer) {
    func word(_ index: Int) -> UInt64 {
      UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: 8 * index, as: UInt64.self))
    }
    words = (word(0), word(1), word(2), word(3), word(4), word(5))
  }

  var bytes: [UInt8] {
    [words.0, words.1, words.2, words.3, words.4, words.5].flatMap(\.littleEndianBytes)
  }
}

/// Turns keys into ids; hashes every view's name once.
struct FeatureIDMaker {
  private var views: [String: [UInt8]] = [:]

  mutating func id(_ key: FeatureKey) -> FeatureID {
    let content = hexadecimalBytes(key.content)
    precondition(
      content?.count == 32, "A feature key needs a SHA-256 of 64 digits, got '\(key.content)'.")
    let view: [UInt8]
    if let known = views[key.view] {
      view = known
    } else {
      var hash = SHA256()
      hash.update(key.view)
      view = Array(hash.finalized().prefix(16))
      views[key.view] = view
    }
    return ((content ?? []) + view).withUnsafeBytes { FeatureID($0) }
  }
}

extension UInt64 {
  /// The eight bytes, low one first.
  var littleEndianBytes: [UInt8] {
    (0..<8).map { UInt8(truncatingIfNeeded: self >> (8 * UInt64($0))) }
  }
}
