// SPDX-License-Identifier: Apache-2.0

import CThawHashes

/// The SHA-256 hash, fed piece by piece.
///
/// Small enough (one compression function) that a cryptography package, which would triple the
/// time of a first build, is not worth its weight; nothing here protects a secret. The processor's
/// SHA instructions are used where it has them.
///
/// - Source: FIPS 180-4.
package struct SHA256: Sendable {
  private var state: [UInt32] = [
    0x6a09_e667, 0xbb67_ae85, 0x3c6e_f372, 0xa54f_f53a, 0x510e_527f, 0x9b05_688c, 0x1f83_d9ab,
    0x5be0_cd19,
  ]
  private var pending: [UInt8] = []
  private var length: UInt64 = 0

  /// Whether the processor's own instructions are used.
  private let usesExtensions: Bool
  /// Whether this processor has such instructions.
  package static let hasExtensions = thaw_sha256_has_extensions()

  /// Starts a hash of nothing.
  package init() { usesExtensions = SHA256.hasExtensions }

  /// Starts a hash of nothing that is computed as on a processor without SHA instructions.
  package init(portable: Void) { usesExtensions = false }

  /// Adds bytes.
  package mutating func update(_ bytes: UnsafeRawBufferPointer) {
    length &+= UInt64(bytes.count)
    var rest = bytes[...]
    if !pending.isEmpty {
      let taken = min(64 - pending.count, rest.count)
      pending.append(contentsOf: rest.prefix(taken))
      rest = rest.dropFirst(taken)
      guard pending.count == 64 else { return }
      pending.withUnsafeBytes { SHA256.compress(&state, $0, usesExtensions) }
      pending.removeAll(keepingCapacity: true)
    }
    let whole = rest.count / 64 * 64
    SHA256.compress(
      &state, UnsafeRawBufferPointer(rebasing: rest.prefix(whole)), usesExtensions)
    pending.append(contentsOf: rest.dropFirst(whole))
  }

  /// Adds bytes.
  package mutating func update(_ bytes: [UInt8]) { bytes.withUnsafeBytes { update($0) } }
  /// Adds the UTF-8 of `text` and a zero byte, so that neighbouring strings cannot run together.
  package mutating func update(_ text: String) { update(Array(text.utf8) + [0]) }

  /// The 32 bytes of the hash of everything added.
  package func finalized() -> [UInt8] {
    var copy = self
    let bits = length &* 8
    let zeros = (119 - pending.count % 64) % 64
    copy.update([0x80] + [UInt8](repeating: 0, count: zeros))
    copy.update((0..<8).map { UInt8(truncatingIfNeeded: bits >> (56 - 8 * UInt64($0))) })
    return copy.state.flatMap { word in
      (0..<4).map { UInt8(truncatingIfNeeded: word >> (24 - 8 * UInt32($0))) }
    }
  }

  /// The hash as 64 lower-case hexadecimal digits.
  package var hexadecimalDigest: String { finalized().map(ThawFiles.hexadecimal).joined() }

  /// The hash of `bytes` as 64 lower-case hexadecimal digits.
  package static func hexadecimal(of bytes: [UInt8]) -> String {
    var hash = SHA256()
    hash.update(bytes)
    return hash.hexadecimalDigest
  }

  private static func compress(
    _ state: inout [UInt32], _ blocks: UnsafeRawBufferPointer, _ usesExtensions: Bool
  ) {
    guard let start = blocks.baseAddress else { return }
    state.withUnsafeMutableBufferPointer { state in
      guard let words = state.baseAddress else { return }
      thaw_sha256_blocks(
        words, start.assumingMemoryBound(to: UInt8.self), blocks.count / 64, usesExtensions)
    }
  }
}
