// SPDX-License-Identifier: Apache-2.0

/// A tar archive: the forms of POSIX (ustar, pax), of GNU and of Unix before them.
///
/// As strict as ``ZIPArchive``: every header's checksum must be right, names must be unique, relative and
/// without `..`, and what is announced must be there. What a photo cannot be (links, devices) is counted;
/// files with holes, which only GNU writes, are refused.
///
/// - Source: POSIX.1-2017, pax; GNU tar manual, "Basic Tar Format".
package struct TarArchive {
  /// A regular file, or a folder.
  package struct Entry: Sendable {
    /// As it is stored, without `./` in front and `/` behind.
    package let name: [UInt8]
    package let isFolder: Bool
    /// Where the contents begin.
    package let start: Int
    /// Bytes of the contents.
    package let size: Int
    /// Last change of the contents, nanoseconds since 1970.
    package let modified: Int
  }

  package let source: ByteSource
  /// In the order of the archive.
  package private(set) var entries: [Entry] = []
  /// Names of links and devices, which are left aside.
  package private(set) var others: [[UInt8]] = []

  /// Whether a file begins as a tar archive does: a header whose checksum is right.
  package static func begins(_ start: [UInt8]) -> Bool {
    start.count >= Header.size && start[0] != 0 && Header(Array(start.prefix(Header.size))) != nil
  }

  /// Reads all headers, not the contents.
  ///
  /// - Parameter limit: most entries.
  package init(_ source: ByteSource, limit: Int) throws(FormatError) {
    self.source = source
    var pending = Pending()
    var names: Set<[UInt8]> = []
    var at = 0
    while at < source.count {
      guard at + Header.size <= source.count else { throw TarArchive.cut(source, at) }
      let block = try source.bytes(at: at, count: Header.size)
      // Two blocks of zeros end an archive; some programs write one, or none.
      if block.allSatisfy({ $0 == 0 }) { return }
      guard let header = Header(block) else {
        throw FormatError(
          source.path, .malformed, "a header of the tar archive has a wrong checksum", at: at)
      }
      let size = pending.size ?? header.size
      let start = at + Header.size
      guard size >= 0, size <= source.count - start else { throw TarArchive.cut(source, at) }
      if try !pending.take(header, source, start) {
        try add(header, pending, start, size, &names, at)
        pending = Pending()
      }
      guard entries.count + others.count <= limit else {
        throw FormatError(
          source.path, .tooLarge, "the tar archive has more than \(limit) entries", at: at)
      }
      at = start + (size + Header.size - 1) / Header.size * Header.size
    }
  }

  private static func cut(_ source: ByteSource, _ at: Int) -> FormatError {
    FormatError(
      source.path, .truncated, "the tar archive ends within an entry", at: at)
  }

  private mutating func add(
    _ header: Header, _ pending: Pending, _ start: Int, _ size: Int, _ names: inout Set<[UInt8]>,
    _ at: Int
  ) throws(FormatError) {
    let stored = pending.name ?? header.name
    let parts = stored.split(separator: 0x2F).filter { !$0.elementsEqual([0x2E]) }
    func refuse(_ reason: String) -> FormatError {
      FormatError(
        source.path, .refused,
        "refuses the tar entry \(quoted(String(decoding: stored, as: UTF8.self))): \(reason)",
        at: at)
    }
    guard stored.first != 0x2F, !stored.contains(0),
      !parts.contains(where: { $0.elementsEqual([0x2E, 0x2E]) })
    else { throw refuse("its name leads out of the archive") }
    // The folder that everything lies in.
    if parts.isEmpty { return }
    let name = Array(parts.joined(separator: [0x2F]))
    switch header.kind {
    case .file, .folder:
      let isFolder = header.kind == .folder || stored.last == 0x2F
      // A folder may be named again and again; it has no contents to contradict each other.
      guard names.insert(name).inserted || isFolder else { throw refuse("it occurs twice") }
      entries.append(
        Entry(
          name: name, isFolder: isFolder, start: start, size: size,
          modified: pending.modified ?? header.modified * 1_000_000_000))
    case .other: others.append(name)
    case .holes: throw refuse("files with holes are not read")
    case .longName, .longLink, .extended, .global: break
    }
  }

  /// What an entry before says of the next.
  private struct Pending {
    var name: [UInt8]?
    var size: Int?
    var modified: Int?

    private static let limit = 1 << 20

    /// Whether `header` only says something of the next one.
    mutating func take(
      _ header: Header, _ source: ByteSource, _ start: Int
    ) throws(FormatError) -> Bool {
      switch header.kind {
      case .longName, .longLink, .extended, .global: break
      default: return false
      }
      guard header.size <= Pending.limit else {
        throw FormatError(
          source.path, .tooLarge, "a name in the tar archive has \(header.size) bytes", at: start)
      }
      let bytes = try source.bytes(at: start, count: header.size)
      switch header.kind {
      case .longName: name = Array(bytes.prefix { $0 != 0 })
      case .extended: try take(records: bytes, source, start)
      default: break
      }
      return true
    }

    /// Records of pax: a length in decimal digits, a blank, a key, `=`, a value, a line feed.
    private mutating func take(
      records bytes: [UInt8], _ source: ByteSource, _ start: Int
    ) throws(FormatError) {
      var at = 0
      while at < bytes.count {
        let digits = bytes[at...].prefix { (0x30...0x39).contains($0) }
        guard let length = Int(String(decoding: digits, as: UTF8.self)), digits.count < 8,
          length > digits.count + 2, at + length <= bytes.count, bytes[at + length - 1] == 0x0A,
          let equals = bytes[(at + digits.count + 1)..<(at + length)].firstIndex(of: 0x3D)
        else {
          throw FormatError(
            source.path, .malformed, "an extended header of the tar archive is damaged", at: start)
        }
        let key = String(decoding: bytes[(at + digits.count + 1)..<equals], as: UTF8.self)
        let value = bytes[(equals + 1)..<(at + length - 1)]
        let text = String(decoding: value, as: UTF8.self)
        switch key {
        case "path": name = Array(value)
        case "size": size = Int(text)
        // Whole seconds, and what a fraction of them has of nanoseconds.
        case "mtime": modified = Pending.nanoseconds(text)
        default: break
        }
        at += length
      }
    }

    private static func nanoseconds(_ text: String) -> Int? {
      let parts = text.split(separator: ".", maxSplits: 1)
      guard let whole = parts.first.flatMap({ Int($0) }), abs(whole) < 1 << 33 else { return nil }
      let fraction = parts.count > 1 ? parts[1].prefix(9) : ""
      let digits = String(fraction) + String(repeating: "0", count: 9 - fraction.count)
      return Int(digits).map { whole * 1_000_000_000 + (text.hasPrefix("-") ? -$0 : $0) }
    }
  }

  /// The 512 bytes before an entry's contents.
  private struct Header {
    static let size = 512

    enum Kind { case file, folder, other, holes, longName, longLink, extended, global }

    let name: [UInt8]
    let size: Int
    let modified: Int
    let kind: Kind

    /// Nil when the checksum is wrong, or a number is none.
    init?(_ block: [UInt8]) {
      var sum = 0
      for (index, byte) in block.enumerated() {
        sum += (148..<156).contains(index) ? 0x20 : Int(byte)
      }
      guard let checksum = Header.number(block[148..<156]), checksum == sum,
        let size = Header.number(block[124..<136]), let modified = Header.number(block[136..<148])
      else { return nil }
      let prefix =
        block[257..<263].elementsEqual("ustar\0".utf8)
        ? Array(block[345..<500].prefix { $0 != 0 }) : []
      let own = Array(block[..<100].prefix { $0 != 0 })
      name = prefix.isEmpty ? own : prefix + [0x2F] + own
      self.modified = abs(modified) < 1 << 33 ? modified : 0
      (kind, self.size) = Header.kind(block[156], size)
    }

    private static func kind(_ type: UInt8, _ size: Int) -> (Kind, Int) {
      switch Character(Unicode.Scalar(type)) {
      case "0", "\0", "7": (.file, size)
      case "5": (.folder, size)
      // Links and devices have no contents, whatever the header says.
      case "1", "2", "3", "4", "6": (.other, 0)
      case "L": (.longName, size)
      case "K": (.longLink, size)
      case "x": (.extended, size)
      case "g": (.global, size)
      case "S": (.holes, size)
      default: (.other, size)
      }
    }

    /// Octal digits, or with the highest bit set a number in bytes.
    private static func number(_ field: ArraySlice<UInt8>) -> Int? {
      if let first = field.first, first & 0x80 != 0 {
        let bytes = field.dropFirst().suffix(8)
        guard first == 0x80, field.dropFirst().dropLast(8).allSatisfy({ $0 == 0 }) else {
          return nil
        }
        let value = bytes.reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
        return Int(exactly: value)
      }
      let text = field.filter { $0 != 0 && $0 != 0x20 }
      return text.isEmpty ? 0 : Int(String(decoding: text, as: UTF8.self), radix: 8)
    }
  }
}
