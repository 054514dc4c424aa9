// SPDX-License-Identifier: Apache-2.0

import CThawHashes

/// The MD5 hash, fed piece by piece: only to compare downloads with hashes that others published.
///
/// It finds damage. It is no protection against somebody who means harm.
///
/// - Source: RFC 1321.
package struct MD5: Sendable {
  private var state: [UInt32] = [0x6745_2301, 0xEFCD_AB89, 0x98BA_DCFE, 0x1032_5476]
  private var pending: [UInt8] = []
  private var length: UInt64 = 0

  /// Starts a hash of nothing.
  package init() {}

  /// Adds bytes.
  package mutating func update(_ bytes: UnsafeRawBufferPointer) {
    length &+= UInt64(bytes.count)
    var rest = bytes[...]
    if !pending.isEmpty {
      let taken = min(64 - pending.count, rest.count)
      pending.append(contentsOf: rest.prefix(taken))
      rest = rest.dropFirst(taken)
      guard pending.count == 64 else { return }
      pending.withUnsafeBytes { MD5.compress(&state, $0) }
      pending.removeAll(keepingCapacity: true)
    }
    let whole = rest.count / 64 * 64
    MD5.compress(&state, UnsafeRawBufferPointer(rebasing: rest.prefix(whole)))
    pending.append(contentsOf: rest.dropFirst(whole))
  }

  /// The hash of everything added as 32 lower-case hexadecimal digits.
  package var hexadecimalDigest: String {
    var copy = self
    let bits = length &* 8
    let zeros = (119 - pending.count % 64) % 64
    var padding: [UInt8] = [0x80] + [UInt8](repeating: 0, count: zeros)
    padding += (0..<8).map { UInt8(truncatingIfNeeded: bits >> (8 * UInt64($0))) }
    padding.withUnsafeBytes { copy.update($0) }
    return copy.state.flatMap { word in
      (0..<4).map { hexadecimal(UInt8(truncatingIfNeeded: word >> (8 * UInt32($0)))) }
    }.joined()
  }

  private static func compress(_ state: inout [UInt32], _ blocks: UnsafeRawBufferPointer) {
    guard let start = blocks.baseAddress else { return }
    state.withUnsafeMutableBufferPointer { state in
      guard let words = state.baseAddress else { return }
      thaw_md5_blocks(words, start.assumingMemoryBound(to: UInt8.self), blocks.count / 64)
    }
  }
}
