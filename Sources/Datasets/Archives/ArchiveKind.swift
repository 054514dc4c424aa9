// SPDX-License-Identifier: Apache-2.0

import ThawArchives

/// What sort of archive a file is, by its first bytes.
enum ArchiveKind: Equatable {
  case zip
  case tar
  /// A tar archive, one hopes, compressed by gzip.
  case gzip
  /// One that is not read, and the command that unpacks it.
  case foreign(name: String, command: String)

  /// Nil for a file that is none.
  ///
  /// - Parameter start: its first 512 bytes, or all of it.
  init?(_ start: [UInt8]) {
    func begins(_ bytes: [UInt8]) -> Bool { start.starts(with: bytes) }
    if begins([0x50, 0x4B, 3, 4]) || begins([0x50, 0x4B, 5, 6]) {
      self = .zip
    } else if begins([0x1F, 0x8B]) {
      self = .gzip
    } else if begins(Array("BZh".utf8)) {
      self = .foreign(name: "bzip2", command: "tar xf")
    } else if begins([0xFD, 0x37, 0x7A, 0x58, 0x5A, 0]) {
      self = .foreign(name: "xz", command: "tar xf")
    } else if begins([0x28, 0xB5, 0x2F, 0xFD]) {
      self = .foreign(name: "Zstandard", command: "tar xf")
    } else if begins([0x37, 0x7A, 0xBC, 0xAF, 0x27, 0x1C]) {
      self = .foreign(name: "7-Zip", command: "7z x")
    } else if begins(Array("Rar!".utf8)) {
      self = .foreign(name: "RAR", command: "unrar x")
    } else if TarArchive.begins(start) {
      self = .tar
    } else {
      return nil
    }
  }
}
