// SPDX-License-Identifier: Apache-2.0

/// A fast 64-bit checksum against accidents (torn writes, flipped bits), not against an adversary.
///
/// - Source: XXH64 as specified in the xxHash fast digest algorithm, version 0.1.1.
package enum Checksum {
  private static let prime1: UInt64 = 0x9E37_79B1_85EB_CA87
  private static let prime2: UInt64 = 0xC2B2_AE3D_27D4_EB4F
  private static let prime3: UInt64 = 0x1656_67B1_9E37_79F9
  private static let prime4: UInt64 = 0x85EB_CA77_C2B2_AE63
  private static let prime5: UInt64 = 0x27D4_EB2F_1656_67C5

  /// The checksum of `bytes`; another seed gives an unrelated function.
  package static func of(_ bytes: UnsafeRawBufferPointer, seed: UInt64 = 0) -> UInt64 {
    var (hash, offset) = stripes(bytes, seed)
    hash &+= UInt64(bytes.count)
    while offset + 8 <= bytes.count {
      hash = rotate(hash ^ round(0, word(bytes, offset)), 27) &* prime1 &+ prime4
      offset += 8
    }
    if offset + 4 <= bytes.count {
      let half = UInt64(
        UInt32(littleEndian: bytes.loadUnaligned(fromByteOffset: offset, as: UInt32.self)))
      hash = rotate(hash ^ half &* prime1, 23) &* prime2 &+ prime3
      offset += 4
    }
    while offset < bytes.count {
      hash = rotate(hash ^ UInt64(bytes[offset]) &* prime5, 11) &* prime1
      offset += 1
    }
    return avalanche(hash)
  }

  /// The checksum of an array's bytes.
  package static func of(_ bytes: [UInt8], seed: UInt64 = 0) -> UInt64 {
    bytes.withUnsafeBytes { of($0, seed: seed) }
  }

  /// Four lanes over the whole 32-byte stripes; returns the merged lanes and where the rest begins.
  private static func stripes(
    _ bytes: UnsafeRawBufferPointer, _ seed: UInt64
  ) -> (UInt64, Int) {
    guard bytes.count >= 32 else { return (seed &+ prime5, 0) }
    var (a, b) = (seed &+ prime1 &+ prime2, seed &+ prime2)
    var (c, d) = (seed, seed &- prime1)
    var offset = 0
    while offset + 32 <= bytes.count {
      a = round(a, word(bytes, offset))
      b = round(b, word(bytes, offset + 8))
      c = round(c, word(bytes, offset + 16))
      d = round(d, word(bytes, offset + 24))
      offset += 32
    }
    var hash = rotate(a, 1) &+ rotate(b, 7) &+ rotate(c, 12) &+ rotate(d, 18)
    hash = (hash ^ round(0, a)) &* prime1 &+ prime4
    hash = (hash ^ round(0, b)) &* prime1 &+ prime4
    hash = (hash ^ round(0, c)) &* prime1 &+ prime4
    hash = (hash ^ round(0, d)) &* prime1 &+ prime4
    return (hash, offset)
  }

  @inline(__always)
  private static func word(_ bytes: UnsafeRawBufferPointer, _ offset: Int) -> UInt64 {
    UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: offset, as: UInt64.self))
  }

  @inline(__always)
  private static func rotate(_ word: UInt64, _ count: UInt64) -> UInt64 {
    word << count | word >> (64 - count)
  }

  @inline(__always)
  private static func round(_ lane: UInt64, _ word: UInt64) -> UInt64 {
    rotate(lane &+ word &* prime2, 31) &* prime1
  }

  private static func avalanche(_ hash: UInt64) -> UInt64 {
    var result = hash
    result = (result ^ result >> 33) &* prime2
    result = (result ^ result >> 29) &* prime3
    return result ^ result >> 32
  }
}
