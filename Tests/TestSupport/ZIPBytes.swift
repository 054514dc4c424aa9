// SPDX-License-Identifier: Apache-2.0

/// Writes zip archives of stored entries; every field can be made to lie.
package struct ZIPBytes {
  package struct Entry {
    package var name: String
    package var contents: [UInt8]
    package var flags: UInt16 = 0
    package var method: UInt16 = 0
    package var localName: String?
    /// The name as it is stored, when it is not UTF-8.
    package var storedName: [UInt8]?
    /// Fields beside the name in the directory.
    package var extra: [UInt8] = []
    package var directoryChecksum: UInt32?
    package var directorySize: UInt32?
    /// Size that is claimed for the contents after decompression.
    package var plainSize: UInt32?
    /// Offset of the local header in the directory, when it is not the true one.
    package var directoryOffset: UInt32?

    /// An entry that says the truth, but for the way of compression.
    package init(
      name: String, contents: [UInt8], flags: UInt16 = 0, method: UInt16 = 0,
      directoryOffset: UInt32? = nil
    ) {
      (self.name, self.contents, self.flags) = (name, contents, flags)
      (self.method, self.directoryOffset) = (method, directoryOffset)
    }
  }

  package var entries: [Entry] = []
  package var prefix: [UInt8] = []
  package var countOffset = 0
  /// Adds the zip64 end records, the first with this many entries too many.
  package var largeCountOffset: Int?

  /// An archive without entries.
  package init() {}

  package mutating func add(_ name: String, _ contents: [UInt8]) {
    entries.append(Entry(name: name, contents: contents))
  }

  /// A PyTorch archive of a pickled object with one storage called 0.
  package static func checkpoint(
    _ object: [UInt8], data: [UInt8] = [], byteOrder: String = "little", version: String = "3\n"
  ) -> ZIPBytes {
    var zip = ZIPBytes()
    zip.add("net/data.pkl", object)
    zip.add("net/byteorder", Array(byteOrder.utf8))
    zip.add("net/data/0", data)
    zip.add("net/version", Array(version.utf8))
    return zip
  }

  package var bytes: [UInt8] {
    var file = prefix
    var directory: [UInt8] = []
    for entry in entries {
      let offset = entry.directoryOffset ?? UInt32(file.count)
      let checksum = ZIPBytes.checksum(entry.contents)
      let size = UInt32(entry.contents.count)
      let stored = entry.storedName ?? Array(entry.name.utf8)
      let local = entry.localName.map { Array($0.utf8) } ?? stored
      file += littleEndian(UInt32(0x0403_4B50)) + [20, 0] + littleEndian(entry.flags)
      file += littleEndian(entry.method) + [0, 0, 0, 0] + littleEndian(checksum)
      file += littleEndian(size)
      file += littleEndian(entry.plainSize ?? size) + littleEndian(UInt16(local.count)) + [0, 0]
      file += local + entry.contents
      let listed = entry.directorySize ?? size
      directory += littleEndian(UInt32(0x0201_4B50)) + [20, 0, 20, 0] + littleEndian(entry.flags)
      directory += littleEndian(entry.method) + [0, 0, 0, 0]
      directory += littleEndian(entry.directoryChecksum ?? checksum) + littleEndian(listed)
      directory +=
        littleEndian(entry.plainSize ?? listed) + littleEndian(UInt16(stored.count))
      directory += littleEndian(UInt16(entry.extra.count)) + [UInt8](repeating: 0, count: 10)
      directory += littleEndian(offset) + stored + entry.extra
    }
    return file + directory + end(file.count, directory.count)
  }

  private func end(_ start: Int, _ size: Int) -> [UInt8] {
    let count = UInt16(entries.count + countOffset)
    var end: [UInt8] = []
    if let largeCountOffset {
      let many = littleEndian(UInt64(entries.count + largeCountOffset))
      end += littleEndian(UInt32(0x0606_4B50)) + littleEndian(UInt64(44)) + [30, 3, 45, 0]
      end += [UInt8](repeating: 0, count: 8) + many + many
      end += littleEndian(UInt64(size)) + littleEndian(UInt64(start))
      end += littleEndian(UInt32(0x0706_4B50)) + [0, 0, 0, 0]
      end += littleEndian(UInt64(start + size)) + [1, 0, 0, 0]
    }
    end += littleEndian(UInt32(0x0605_4B50)) + [0, 0, 0, 0] + littleEndian(count)
    return end + littleEndian(count) + littleEndian(UInt32(size)) + littleEndian(UInt32(start))
      + [0, 0]
  }

  /// CRC-32 bit by bit.
  package static func checksum(_ bytes: [UInt8]) -> UInt32 {
    var crc = UInt32.max
    for byte in bytes {
      crc ^= UInt32(byte)
      for _ in 0..<8 { crc = crc & 1 == 1 ? crc >> 1 ^ 0xEDB8_8320 : crc >> 1 }
    }
    return ~crc
  }
}

/// The bytes of a number, the lowest first.
package func littleEndian<Number: FixedWidthInteger>(_ number: Number) -> [UInt8] {
  withUnsafeBytes(of: number.littleEndian) { Array($0) }
}
