// SPDX-License-Identifier: Apache-2.0

/// A zip archive whose entries are stored as they are (PyTorch, Keras, NumPy) or deflated (NumPy, photos).
///
/// A strict reader: what two programs could read in two ways is refused. The directory must end the
/// file, the first entry must begin it, every local header must agree with the directory, entries
/// must not overlap, and names must be unique, relative and without `..`.
///
/// - Source: PKWARE APPNOTE.TXT 6.3.
package struct ZIPArchive {
  package struct Entry: Sendable {
    /// As text, for messages and for formats whose names are.
    package let name: String
    /// As it is stored.
    package let nameBytes: [UInt8]
    /// In UTF-8, see ``ZIPName``; bytes that no encoding explains stay as they are.
    package let unicodeName: [UInt8]
    package let checksum: UInt32
    /// Size of the contents in bytes.
    package let size: Int
    /// Size in the archive in bytes: smaller when deflated.
    package let storedSize: Int
    /// Whether the contents have to be decompressed.
    package let isDeflated: Bool
    /// The kind of file in a Unix system's words; 0 where the archive does not say.
    package let mode: UInt16
    /// Last change of the contents, nanoseconds since 1970; 0 where the archive does not say.
    package let modified: Int
    let flags: UInt16
    /// Where the local header begins.
    let header: Int
    /// Where the contents begin.
    package internal(set) var start = 0
    /// Where the entry, with its data descriptor, ends.
    var end = 0
  }

  /// What is accepted besides what every archive must be.
  package struct Rules: Sendable {
    /// Whether a comment may follow the directory, as on archives of repositories.
    package var allowsComment = false
    /// Whether names may be in another encoding than UTF-8, or begin with a folder `.`.
    package var allowsAnyEncoding = false
    /// Most entries.
    package var entries = 200_000
    /// Most bytes that `count` bytes of archive may become.
    package var total: @Sendable (_ count: Int) -> Int = ArchiveLimits.decompressed

    /// The strict rules that weights are read by.
    package init() {}
  }

  package let source: ByteSource
  /// The entries in the order of the file.
  package let entries: [Entry]
  private let positions: [[UInt8]: Int]

  /// Reads and checks the directory and all local headers; not yet the contents.
  package init(_ source: ByteSource, rules: Rules = Rules()) throws(FormatError) {
    self.source = source
    let directory = try ZIPDirectory(source, rules)
    var entries = try directory.entries()
    for index in entries.indices { try ZIPArchive.locate(&entries[index], source, directory.start) }
    entries.sort { $0.header < $1.header }
    guard entries.first.map({ $0.header == 0 }) ?? true else {
      throw FormatError(
        source.path, .malformed, "the zip archive has something before it", at: 0)
    }
    try ZIPArchive.checkTotal(entries, source, rules)
    for (first, second) in zip(entries, entries.dropFirst()) where second.header < first.end {
      throw FormatError(
        source.path, .malformed,
        "zip entries \(quoted(first.name)) and \(quoted(second.name)) overlap", at: second.header)
    }
    var positions: [[UInt8]: Int] = [:]
    for (index, entry) in entries.enumerated() {
      guard positions.updateValue(index, forKey: entry.nameBytes) == nil else {
        throw FormatError(
          source.path, .malformed, "zip entry \(quoted(entry.name)) occurs twice", at: entry.header)
      }
    }
    self.entries = entries
    self.positions = positions
  }

  /// Together the entries may not become more than the file can reasonably hold.
  private static func checkTotal(
    _ entries: [Entry], _ source: ByteSource, _ rules: Rules
  ) throws(FormatError) {
    let limit = rules.total(source.count)
    var total = 0
    for entry in entries {
      guard entry.size <= limit - total else {
        throw FormatError(
          source.path, .tooLarge,
          "the zip archive's \(source.count) bytes would become more than \(limit)",
          at: entry.header, nextStep: "Save it without compression.")
      }
      total += entry.size
    }
  }

  /// The entry called `name`, nil when there is none.
  package subscript(name: String) -> Entry? { positions[Array(name.utf8)].map { entries[$0] } }

  /// Compares the contents of an entry that is not compressed with their checksum.
  package func verify(_ entry: Entry) throws(FormatError) {
    try requireStored(entry)
    var crc = CRC32()
    try source.forEachPiece(at: entry.start, count: entry.size) { crc.update($0) }
    try compare(crc, entry)
  }

  /// Refuses a compressed entry: the formats whose elements stay in the file have none.
  package func requireStored(_ entry: Entry) throws(FormatError) {
    guard !entry.isDeflated else {
      throw FormatError(
        source.path, .refused,
        "refuses zip entry \(quoted(entry.name)): compressed (method 8), PyTorch's are not",
        at: entry.header)
    }
  }

  private func compare(_ crc: CRC32, _ entry: Entry) throws(FormatError) {
    #if FUZZING_BUILD_MODE_UNSAFE_FOR_PRODUCTION
      return  // or damage would never get any further
    #endif
    guard crc.value == entry.checksum else {
      throw FormatError(
        source.path, .malformed, "the checksum of zip entry \(quoted(entry.name)) is wrong",
        at: entry.start)
    }
  }

  /// An entry's verified contents, at most `limit` bytes.
  package func contents(_ entry: Entry, limit: Int) throws(FormatError) -> [UInt8] {
    guard entry.size <= limit else {
      throw FormatError(
        source.path, .tooLarge,
        "zip entry \(quoted(entry.name)) has \(entry.size) bytes, at most \(limit) are accepted")
    }
    let bytes =
      entry.isDeflated
      ? try deflated(entry).bytes() : try source.bytes(at: entry.start, count: entry.size)
    var crc = CRC32()
    crc.update(bytes)
    try compare(crc, entry)
    return bytes
  }

  /// The first `limit` bytes of a compressed entry, unverified.
  package func prefix(of entry: Entry, _ limit: Int) throws(FormatError) -> [UInt8] {
    try deflated(entry).prefix(limit)
  }

  /// Calls `body` with a compressed entry's contents piece by piece, the first of `firstPiece` bytes;
  /// what it was given is wrong if an error follows.
  package func forEachPiece(
    of entry: Entry, firstPiece: Int, _ body: (UnsafeRawBufferPointer) -> Void
  ) throws(FormatError) {
    var crc = CRC32()
    try deflated(entry).forEachPiece(firstPiece: firstPiece) { piece in
      crc.update(piece)
      body(piece)
    }
    try compare(crc, entry)
  }

  private func deflated(_ entry: Entry) -> DeflatedBytes {
    DeflatedBytes(
      source: source, start: entry.start, storedCount: entry.storedSize, count: entry.size,
      wrapping: .raw, label: "zip entry \(quoted(entry.name))")
  }

  /// What an entry may have at most when it is decompressed: generous for weights, which hardly
  /// shrink, and a bound on the memory that a small archive can ask for.
  package func decompressionLimit(_ entry: Entry) -> Int {
    entry.isDeflated
      ? ArchiveLimits.decompressed(from: source.count) : source.count
  }

  /// Reads the local header of `entry`, compares it with the directory and sets `start` and `end`.
  private static func locate(
    _ entry: inout Entry, _ source: ByteSource, _ directory: Int
  ) throws(FormatError) {
    var cursor = ByteCursor(source, from: entry.header, to: directory)
    let signature = try cursor.integer(UInt32.self)
    try cursor.skip(2)
    let flags = try cursor.integer(UInt16.self)
    let method = try cursor.integer(UInt16.self)
    try cursor.skip(4)
    let checksum = try cursor.integer(UInt32.self)
    let sizes = [try cursor.integer(UInt32.self), try cursor.integer(UInt32.self)]
    let nameLength = Int(try cursor.integer(UInt16.self))
    let extraLength = Int(try cursor.integer(UInt16.self))
    let name = try cursor.bytes(nameLength)
    try cursor.skip(extraLength)
    let isLater = flags & 8 != 0  // checksum and sizes follow the contents
    let agrees =
      signature == 0x0403_4B50 && flags == entry.flags && method == (entry.isDeflated ? 8 : 0)
      && name == entry.nameBytes
      && (checksum == entry.checksum || isLater && checksum == 0)
      && zip(sizes, [entry.storedSize, entry.size]).allSatisfy {
        $0 == .max || Int($0) == $1 || isLater && $0 == 0
      }
    guard agrees else {
      throw FormatError(
        source.path, .malformed,
        "the local header of zip entry \(quoted(entry.name)) contradicts the directory",
        at: entry.header)
    }
    entry.start = cursor.position
    try cursor.skip(entry.storedSize)
    if isLater { try skipDescriptor(of: entry, &cursor) }
    entry.end = cursor.position
  }

  /// Signature, checksum and the two sizes, which take 4 or 8 bytes each.
  private static func skipDescriptor(
    of entry: Entry, _ cursor: inout ByteCursor
  ) throws(FormatError) {
    let start = cursor.position
    if try cursor.integer(UInt32.self) == 0x0807_4B50,
      try cursor.integer(UInt32.self) == entry.checksum
    {
      let low = [try cursor.integer(UInt32.self), try cursor.integer(UInt32.self)]
      if Int(low[0]) == entry.storedSize && Int(low[1]) == entry.size { return }
      let second = UInt64(try cursor.integer(UInt64.self))
      if Int(low[1]) << 32 | Int(low[0]) == entry.storedSize && second == UInt64(entry.size) {
        return
      }
    }
    throw cursor.error(
      .malformed,
      "the data descriptor of zip entry \(quoted(entry.name)) contradicts the directory",
      at: start)
  }
}
