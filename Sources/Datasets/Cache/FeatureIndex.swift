// SPDX-License-Identifier: Apache-2.0

import ThawFiles

/// How the numbers of a cache are stored.
package enum FeaturePrecision: UInt32, Sendable, Hashable {
  /// 4 bytes a number, exact.
  case float32 = 1
  /// 2 bytes a number, 11 significant bits, at most 65504.
  case float16 = 2

  /// Bytes a number takes.
  package var byteCount: Int { self == .float32 ? 4 : 2 }
}

/// What all rows of a cache have in common.
struct FeatureFormat: Equatable {
  let key: String
  let rowLength: Int
  let precision: FeaturePrecision

  var rowBytes: Int { rowLength * precision.byteCount }
}

/// One line of the index: where the row of a photo and view lies and what its bytes must add up to.
struct FeatureEntry {
  static let byteCount = 72

  let id: FeatureID
  let row: Int
  let checksum: UInt64

  init(id: FeatureID, row: Int, checksum: UInt64) {
    self.id = id
    self.row = row
    self.checksum = checksum
  }

  /// Reads 72 bytes; nil unless the last eight are the checksum of the others.
  init?(_ bytes: UnsafeRawBufferPointer) {
    let body = UnsafeRawBufferPointer(rebasing: bytes[..<64])
    func word(_ offset: Int) -> UInt64 {
      UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: offset, as: UInt64.self))
    }
    guard word(64) == Checksum.of(body), let row = Int(exactly: word(48)) else { return nil }
    self.init(id: FeatureID(body), row: row, checksum: word(56))
  }

  var bytes: [UInt8] {
    let body = id.bytes + UInt64(row).littleEndianBytes + checksum.littleEndianBytes
    return body + Checksum.of(body).littleEndianBytes
  }
}

/// The index file's bytes: a header of 128 bytes that names the format, then entries.
enum FeatureIndex {
  static let headerSize = 128
  private static let version: UInt64 = 1

  static func header(_ format: FeatureFormat) -> [UInt8] {
    var bytes = Array("THAWFEAT".utf8) + version.littleEndianBytes
    bytes += UInt64(format.rowLength).littleEndianBytes
    bytes += UInt64(format.precision.rawValue).littleEndianBytes
    bytes += Array(format.key.utf8)
    bytes += [UInt8](repeating: 0, count: 120 - bytes.count)
    return bytes + Checksum.of(bytes).littleEndianBytes
  }

  /// The entries that are whole, and whether nothing else is there; nil when the header is not the
  /// one of `format`.
  static func parse(
    _ bytes: [UInt8], _ format: FeatureFormat
  ) -> (entries: [FeatureEntry], damaged: Int)? {
    guard bytes.starts(with: header(format)) else { return nil }
    var entries: [FeatureEntry] = []
    var damaged = 0
    bytes.withUnsafeBytes { bytes in
      for start in stride(from: headerSize, to: bytes.count, by: FeatureEntry.byteCount) {
        let end = start + FeatureEntry.byteCount
        if end <= bytes.count,
          let entry = FeatureEntry(UnsafeRawBufferPointer(rebasing: bytes[start..<end]))
        {
          entries.append(entry)
        } else {
          damaged += 1
        }
      }
    }
    return (entries, damaged)
  }
}
