// SPDX-License-Identifier: Apache-2.0

/// The checksum of zip archives, fed piece by piece: polynomial 0xEDB88320, reflected.
///
/// Eight bytes a step with eight tables ("slicing by 8").
///
/// - Source: ISO 3309; M. Kounavis and F. Berry 2005 for the tables.
struct CRC32 {
  private var state: UInt32 = 0xFFFF_FFFF

  /// The checksum of everything added.
  var value: UInt32 { ~state }

  /// Adds bytes.
  mutating func update(_ bytes: UnsafeRawBufferPointer) {
    var crc = state
    CRC32.tables.withUnsafeBufferPointer { table in
      var index = 0
      while index + 8 <= bytes.count {
        let word = UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: index, as: UInt64.self))
        let mixed = word ^ UInt64(crc)
        crc = 0
        for byte in 0..<8 {
          crc ^=
            table[(7 - byte) * 256 + Int(UInt8(truncatingIfNeeded: mixed >> (8 * UInt64(byte))))]
        }
        index += 8
      }
      while index < bytes.count {
        crc = crc >> 8 ^ table[Int(UInt8(truncatingIfNeeded: crc) ^ bytes[index])]
        index += 1
      }
    }
    state = crc
  }

  /// Adds bytes.
  mutating func update(_ bytes: [UInt8]) { bytes.withUnsafeBytes { update($0) } }

  /// Table k holds the checksum of a byte followed by k zero bytes.
  private static let tables: [UInt32] = {
    var tables = [UInt32](repeating: 0, count: 8 * 256)
    for byte in 0..<256 {
      var crc = UInt32(byte)
      for _ in 0..<8 { crc = crc & 1 == 1 ? crc >> 1 ^ 0xEDB8_8320 : crc >> 1 }
      tables[byte] = crc
    }
    for index in 256..<tables.count {
      let previous = tables[index - 256]
      tables[index] = previous >> 8 ^ tables[Int(previous & 0xFF)]
    }
    return tables
  }()
}
