// SPDX-License-Identifier: Apache-2.0

/// The SHA-256 hash, fed piece by piece; libcrypto's, on the processor's SHA instructions where it
/// has them.
///
/// - Source: FIPS 180-4.
package struct SHA256: Sendable {
  private var state = HashState.sha256

  /// Starts a hash of nothing.
  package init() {}

  /// Adds bytes.
  package mutating func update(_ bytes: UnsafeRawBufferPointer) { state.update(bytes) }
  /// Adds bytes.
  package mutating func update(_ bytes: [UInt8]) { bytes.withUnsafeBytes { update($0) } }
  /// Adds the UTF-8 of `text` and a zero byte, so that neighbouring strings cannot run together.
  package mutating func update(_ text: String) { update(Array(text.utf8) + [0]) }

  /// The 32 bytes of the hash of everything added.
  package func finalized() -> [UInt8] { state.finalized() }

  /// The hash as 64 lower-case hexadecimal digits.
  package var hexadecimalDigest: String { state.hexadecimalDigest }

  /// The hash of `bytes` as 64 lower-case hexadecimal digits.
  package static func hexadecimal(of bytes: [UInt8]) -> String {
    var hash = SHA256()
    hash.update(bytes)
    return hash.hexadecimalDigest
  }
}
