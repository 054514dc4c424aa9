// SPDX-License-Identifier: Apache-2.0

/// The central directory of a zip archive.
///
/// The records that end the archive are accepted only at the very end of the file, without a comment
/// unless the rules allow one, so that there is one way to find them.
struct ZIPDirectory {
  private let source: ByteSource
  /// Where the directory begins; entries lie before it.
  let start: Int
  private let end: Int
  private let count: Int
  private let rules: ZIPArchive.Rules

  init(_ source: ByteSource, _ rules: ZIPArchive.Rules) throws(FormatError) {
    self.source = source
    self.rules = rules
    guard source.count >= 22 else {
      throw FormatError(
        source.path, .truncated, "a zip archive without its end", at: source.count)
    }
    guard let tail = try ZIPDirectory.tail(source, allowsComment: rules.allowsComment) else {
      throw FormatError(
        source.path, .truncated, "the end of the zip archive is missing", at: source.count)
    }
    var cursor = ByteCursor(source, from: tail + 4)
    var end = EndRecord()
    end.isWhole = try cursor.integer(UInt32.self) == 0
    end.counts = [Int(try cursor.integer(UInt16.self)), Int(try cursor.integer(UInt16.self))]
    end.size = Int(try cursor.integer(UInt32.self))
    end.offset = Int(try cursor.integer(UInt32.self))
    end.position = tail
    end = try ZIPDirectory.largeEnd(source, end) ?? end
    guard end.isWhole, end.counts[0] == end.counts[1], end.offset >= 0, end.size >= 0,
      end.offset <= end.position, end.size == end.position - end.offset
    else {
      throw FormatError(
        source.path, .malformed, "the end of the zip archive contradicts itself", at: tail)
    }
    guard end.counts[0] <= rules.entries, end.counts[0] * 46 <= end.size else {
      throw FormatError(
        source.path, .malformed, "the zip archive announces \(end.counts[0]) entries", at: tail)
    }
    (start, self.end, count) = (end.offset, end.position, end.counts[0])
  }

  /// Where the record that ends the archive begins: the last one whose comment ends with the file.
  private static func tail(
    _ source: ByteSource, allowsComment: Bool
  ) throws(FormatError) -> Int? {
    let longest = allowsComment ? min(65535, source.count - 22) : 0
    let start = source.count - 22 - longest
    let bytes = try source.bytes(at: start, count: source.count - start)
    for at in stride(from: bytes.count - 22, through: 0, by: -1)
    where bytes[at..<(at + 4)].elementsEqual([0x50, 0x4B, 5, 6]) {
      let comment = Int(bytes[at + 20]) | Int(bytes[at + 21]) << 8
      if at + 22 + comment == bytes.count { return start + at }
    }
    return nil
  }

  private struct EndRecord {
    /// One disk.
    var isWhole = true
    var counts = [0, 0]
    var size = 0
    var offset = 0
    /// Where the record itself begins.
    var position = 0
  }

  /// The record of archives that may exceed 4 GiB, when there is one; it must agree with the small
  /// one wherever that is not saturated.
  private static func largeEnd(
    _ source: ByteSource, _ small: EndRecord
  ) throws(FormatError) -> EndRecord? {
    let locator = small.position - 20
    guard locator >= 56 else { return nil }
    var cursor = ByteCursor(source, from: locator)
    guard try cursor.integer(UInt32.self) == 0x0706_4B50 else { return nil }
    var large = EndRecord()
    large.isWhole = try cursor.integer(UInt32.self) == 0
    large.position = Int(clamping: try cursor.integer(UInt64.self))
    large.isWhole = try cursor.integer(UInt32.self) == 1 && large.isWhole && small.isWhole
    // The record has 56 bytes and ends where its locator begins.
    guard large.position == locator - 56 else {
      throw FormatError(
        source.path, .malformed, "the zip64 end record is not where it should be", at: locator)
    }
    cursor = ByteCursor(source, from: large.position)
    let signature = try cursor.integer(UInt32.self)
    let length = try cursor.integer(UInt64.self)
    try cursor.skip(4)
    let disks = try cursor.integer(UInt64.self)
    large.isWhole = signature == 0x0606_4B50 && length == 44 && disks == 0 && large.isWhole
    large.counts = [
      Int(clamping: try cursor.integer(UInt64.self)),
      Int(clamping: try cursor.integer(UInt64.self)),
    ]
    large.size = Int(clamping: try cursor.integer(UInt64.self))
    large.offset = Int(clamping: try cursor.integer(UInt64.self))
    large.isWhole =
      large.isWhole && agree(small.counts[0], large.counts[0], 0xFFFF)
      && agree(small.counts[1], large.counts[1], 0xFFFF)
      && agree(small.size, large.size, 0xFFFF_FFFF)
      && agree(small.offset, large.offset, 0xFFFF_FFFF)
    return large
  }

  private static func agree(_ small: Int, _ large: Int, _ saturated: Int) -> Bool {
    small == large || small == saturated
  }

  /// All entries as the directory describes them.
  func entries() throws(FormatError) -> [ZIPArchive.Entry] {
    var cursor = ByteCursor(source, from: start, to: end)
    var entries: [ZIPArchive.Entry] = []
    for _ in 0..<count { entries.append(try entry(&cursor)) }
    guard cursor.remaining == 0 else {
      throw cursor.error(.malformed, "the zip directory has \(cursor.remaining) bytes too many")
    }
    return entries
  }

  private func entry(_ cursor: inout ByteCursor) throws(FormatError) -> ZIPArchive.Entry {
    let place = cursor.position
    guard try cursor.integer(UInt32.self) == 0x0201_4B50 else {
      throw cursor.error(.malformed, "the zip directory is damaged", at: place)
    }
    try cursor.skip(1)
    let system = try cursor.byte()
    try cursor.skip(2)
    let flags = try cursor.integer(UInt16.self)
    let method = try cursor.integer(UInt16.self)
    let changed = [try cursor.integer(UInt16.self), try cursor.integer(UInt16.self)]
    let checksum = try cursor.integer(UInt32.self)
    var numbers = [Int(try cursor.integer(UInt32.self)), Int(try cursor.integer(UInt32.self))]
    let lengths = [
      Int(try cursor.integer(UInt16.self)), Int(try cursor.integer(UInt16.self)),
      Int(try cursor.integer(UInt16.self)),
    ]
    let disk = try cursor.integer(UInt16.self)
    try cursor.skip(2)
    let attributes = try cursor.integer(UInt32.self)
    numbers.append(Int(try cursor.integer(UInt32.self)))
    let nameBytes = try cursor.bytes(lengths[0])
    let name = try self.name(nameBytes, place)
    let extra = try cursor.bytes(lengths[1])
    try widen(&numbers, extra: extra, name, place)
    try cursor.skip(lengths[2])
    // Flags: 3 is a data descriptor, 11 a UTF-8 name, 1 and 2 concern compression.
    guard flags & ~0x080E == 0 else {
      throw cursor.error(
        .refused, "refuses zip entry \(quoted(name)): encrypted or patched", at: place)
    }
    guard method == 8 || method == 0 && numbers[0] == numbers[1], disk == 0 else {
      throw cursor.error(
        .refused,
        "refuses zip entry \(quoted(name)): compressed by method \(method), 0 and 8 are known",
        at: place)
    }
    // Deflate shrinks to a 1032nd at best: what claims more lies.
    guard method == 0 || numbers[1] / 1033 <= numbers[0] else {
      throw cursor.error(
        .malformed,
        "zip entry \(quoted(name)) claims \(numbers[1]) bytes, more than \(numbers[0]) can hold",
        at: place)
    }
    return ZIPArchive.Entry(
      name: name, nameBytes: nameBytes,
      unicodeName: ZIPName.unicode(nameBytes, extra: extra), checksum: checksum, size: numbers[1],
      storedSize: numbers[0], isDeflated: method == 8,
      // Systems 3 and 19 are Unix and macOS.
      mode: system == 3 || system == 19 ? UInt16(attributes >> 16) : 0,
      modified: ZIPTime.modified(extra: extra, time: changed[0], date: changed[1]), flags: flags,
      header: numbers[2])
  }

  /// Replaces saturated sizes and offset by those of the zip64 field.
  private func widen(
    _ numbers: inout [Int], extra: [UInt8], _ name: String, _ place: Int
  ) throws(FormatError) {
    let saturated = numbers.indices.filter { numbers[$0] == 0xFFFF_FFFF }
    guard !saturated.isEmpty else { return }
    var cursor = ByteCursor(ByteSource(extra, path: source.path))
    while cursor.remaining >= 4 {
      let identifier = try cursor.integer(UInt16.self)
      let length = Int(try cursor.integer(UInt16.self))
      guard identifier == 1, length >= 8 * saturated.count else {
        try cursor.skip(length)
        continue
      }
      for index in saturated { numbers[index] = Int(clamping: try cursor.integer(UInt64.self)) }
      return
    }
    throw FormatError(
      source.path, .malformed, "the zip64 sizes of zip entry \(quoted(name)) are missing", at: place
    )
  }

  private func name(_ bytes: [UInt8], _ place: Int) throws(FormatError) -> String {
    let valid = String(validating: bytes, as: UTF8.self)
    let name = valid ?? String(decoding: bytes, as: UTF8.self)
    guard valid != nil || rules.allowsAnyEncoding, !name.isEmpty,
      !bytes.contains(0), !bytes.contains(0x5C), !name.hasPrefix("/"),
      !name.split(separator: "/").contains("..")
    else {
      throw FormatError(
        source.path, .refused,
        "refuses the zip entry name \(quoted(String(decoding: bytes, as: UTF8.self)))", at: place)
    }
    return name
  }
}
