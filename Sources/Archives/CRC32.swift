// SPDX-License-Identifier: Apache-2.0

import CThawZlib

/// The checksum of zip archives, fed piece by piece: polynomial 0xEDB88320, reflected.
///
/// - Source: ISO 3309.
package struct CRC32 {
  /// The checksum of everything added.
  package private(set) var value: UInt32 = 0

  /// Begins with nothing.
  package init() {}

  /// Adds bytes.
  package mutating func update(_ bytes: UnsafeRawBufferPointer) {
    guard let start = bytes.baseAddress else { return }
    value = thaw_crc32(value, start.assumingMemoryBound(to: UInt8.self), bytes.count)
  }

  /// Adds bytes.
  package mutating func update(_ bytes: [UInt8]) { bytes.withUnsafeBytes { update($0) } }
}

/// The library that decompresses checkpoints and archives.
package enum Decompression {
  /// For example `zlib 1.2.13`.
  package static var library: String { "zlib " + String(cString: thaw_zlib_version()) }
}
