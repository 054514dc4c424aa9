// SPDX-License-Identifier: Apache-2.0

import CThawCrypto

/// A hash of libcrypto under way, as a value: a copy that is fed further leaves the original alone.
///
/// Every call can fail for want of memory only (the algorithms are libcrypto's own, whatever the
/// machine's configuration allows), which is a trap here as it is for an array.
struct HashState: Sendable {
  private var handle: HashHandle

  /// A hash of nothing that becomes 32 bytes.
  static var sha256: HashState { HashState(THAW_SHA256) }
  /// A hash of nothing that becomes 16 bytes.
  static var md5: HashState { HashState(THAW_MD5) }

  private init(_ kind: thaw_hash_kind) { handle = HashHandle(thaw_hash_new(kind)) }

  /// Adds bytes.
  mutating func update(_ bytes: UnsafeRawBufferPointer) {
    if !isKnownUniquelyReferenced(&handle) { handle = handle.copy() }
    precondition(
      thaw_hash_update(handle.pointer, bytes.baseAddress, bytes.count),
      "libcrypto cannot take more bytes into a hash.")
  }

  /// The hash of everything added, 32 bytes of SHA-256 or 16 of MD5; more can be added afterwards.
  func finalized() -> [UInt8] {
    let copy = handle.copy()
    return withExtendedLifetime(copy) {
      [UInt8](unsafeUninitializedCapacity: Int(THAW_HASH_BYTES)) { buffer, count in
        guard let start = buffer.baseAddress else { return }
        precondition(
          thaw_hash_finish(copy.pointer, start, &count), "libcrypto cannot end a hash.")
      }
    }
  }

  /// ``finalized()`` as lower-case hexadecimal digits, two a byte.
  var hexadecimalDigest: String { hexadecimal(finalized()) }
}

/// Owns libcrypto's state and frees it.
///
/// Unchecked: it is written through a ``HashState`` that alone refers to it; otherwise only read.
private final class HashHandle: @unchecked Sendable {
  let pointer: OpaquePointer

  init(_ pointer: OpaquePointer?) {
    guard let pointer else { preconditionFailure("There is no memory for a hash of libcrypto.") }
    self.pointer = pointer
  }

  deinit { thaw_hash_free(pointer) }

  func copy() -> HashHandle { HashHandle(thaw_hash_copy(pointer)) }
}

/// The library that hashes.
package enum Hashing {
  /// For example `OpenSSL 3.0.15 3 Sep 2024`.
  package static var library: String { String(cString: thaw_crypto_description()) }
}
