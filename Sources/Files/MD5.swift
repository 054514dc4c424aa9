// SPDX-License-Identifier: Apache-2.0

/// The MD5 hash, fed piece by piece: only to compare downloads with hashes that others published.
///
/// It finds damage. It is no protection against somebody who means harm.
///
/// - Source: RFC 1321.
package struct MD5: Sendable {
  private var state = HashState.md5

  /// Starts a hash of nothing.
  package init() {}

  /// Adds bytes.
  package mutating func update(_ bytes: UnsafeRawBufferPointer) { state.update(bytes) }

  /// The hash of everything added as 32 lower-case hexadecimal digits.
  package var hexadecimalDigest: String { state.hexadecimalDigest }
}
