// SPDX-License-Identifier: Apache-2.0

import CThawZlib

/// A part of a file that is compressed with deflate, decompressed piece by piece: however large it
/// becomes, no more than a piece is in memory.
package struct DeflatedBytes {
  /// What surrounds the data.
  package enum Wrapping {
    /// Nothing: zip entries.
    case raw
    /// zlib's header and checksum: HDF5 chunks.
    case zlib
  }

  let source: ByteSource
  /// Where the compressed data begins.
  let start: Int
  /// Compressed bytes; the caller has checked that they lie in the source.
  let storedCount: Int
  /// Bytes that it must become; the caller has bounded them.
  let count: Int
  let wrapping: Wrapping
  /// What it is, for messages: `zip entry 'a.npy'`.
  let label: String

  /// A part of `source`; see the properties.
  package init(
    source: ByteSource, start: Int, storedCount: Int, count: Int, wrapping: Wrapping, label: String
  ) {
    (self.source, self.start, self.storedCount) = (source, start, storedCount)
    (self.count, self.wrapping, self.label) = (count, wrapping, label)
  }

  /// All of it.
  ///
  /// - Throws: ``FormatError`` when it is damaged or does not become exactly ``count`` bytes.
  package func bytes() throws(FormatError) -> [UInt8] {
    var bytes: [UInt8] = []
    bytes.reserveCapacity(count)
    try forEachPiece { bytes.append(contentsOf: $0) }
    return bytes
  }

  /// The first `limit` bytes, all if there are fewer; what follows is not looked at.
  package func prefix(_ limit: Int) throws(FormatError) -> [UInt8] {
    var bytes: [UInt8] = []
    try run(upTo: min(limit, count), firstPiece: nil) { bytes.append(contentsOf: $0) }
    return bytes
  }

  /// Calls `body` with all of it in order: a first piece of `firstPiece` bytes if that is given, then
  /// pieces of 1 MiB and a last one.
  package func forEachPiece(
    firstPiece: Int? = nil, _ body: (UnsafeRawBufferPointer) -> Void
  ) throws(FormatError) {
    try run(upTo: count, firstPiece: firstPiece, body)
  }

  private static let pieceSize = 1 << 20

  private func failure(_ reason: String, _ kind: FormatError.Kind) -> FormatError {
    FormatError(source.path, kind, "\(label): \(reason)", at: start)
  }

  private func run(
    upTo limit: Int, firstPiece: Int?, _ body: (UnsafeRawBufferPointer) -> Void
  ) throws(FormatError) {
    let kind = wrapping == .raw ? THAW_ZLIB_RAW : THAW_ZLIB_WRAPPED
    guard let inflater = thaw_inflater_new(kind) else {
      throw failure("no memory to decompress it", .tooLarge)
    }
    defer { thaw_inflater_free(inflater) }
    var stream = Stream(inflater, self)
    var piece = [UInt8](repeating: 0, count: min(limit, DeflatedBytes.pieceSize))
    var done = 0
    var size = min(firstPiece ?? piece.count, piece.count)
    while done < limit {
      size = min(size, limit - done)
      try stream.fill(&piece, size)
      piece.withUnsafeBytes { body(UnsafeRawBufferPointer(rebasing: $0[..<size])) }
      done += size
      size = piece.count
    }
    guard limit == count else { return }
    try stream.expectEnd()
  }

  /// The compressed side.
  private struct Stream {
    private let inflater: OpaquePointer
    private let whole: DeflatedBytes
    private var input: [UInt8] = []
    /// Bytes of `input` that were used.
    private var used = 0
    /// Bytes of the source that were read.
    private var read = 0
    private var hasEnded = false

    init(_ inflater: OpaquePointer, _ whole: DeflatedBytes) {
      self.inflater = inflater
      self.whole = whole
    }

    /// Writes exactly `count` bytes to the beginning of `piece`.
    mutating func fill(_ piece: inout [UInt8], _ count: Int) throws(FormatError) {
      var filled = 0
      while filled < count {
        let made = try step(&piece, filled, count)
        filled += made
        guard filled < count else { return }
        guard !hasEnded, made > 0 || used < input.count || read < whole.storedCount else {
          throw whole.failure(
            "the compressed data ends before \(whole.count) bytes", .malformed)
        }
      }
    }

    /// Checks that nothing follows, compressed or not.
    mutating func expectEnd() throws(FormatError) {
      var spare: [UInt8] = [0]
      while !hasEnded {
        guard try step(&spare, 0, 1) == 0 else {
          throw whole.failure(
            "the compressed data has more than the announced \(whole.count) bytes", .malformed)
        }
        guard hasEnded || used < input.count || read < whole.storedCount else {
          throw whole.failure("the compressed data does not end", .malformed)
        }
      }
      guard used == input.count, read == whole.storedCount else {
        throw whole.failure("something follows the end of the compressed data", .malformed)
      }
    }

    /// Decompresses something into `piece[filled..<count]`; the number of bytes made.
    private mutating func step(
      _ piece: inout [UInt8], _ filled: Int, _ count: Int
    ) throws(FormatError) -> Int {
      if used == input.count, read < whole.storedCount {
        let next = min(1 << 18, whole.storedCount - read)
        input = try whole.source.bytes(at: whole.start + read, count: next)
        read += next
        used = 0
      }
      var (taken, made) = (0, 0)
      let status = input.withUnsafeBufferPointer { input in
        piece.withUnsafeMutableBufferPointer { output in
          thaw_inflater_run(
            inflater, input.baseAddress.map { $0 + used }, input.count - used, &taken,
            output.baseAddress.map { $0 + filled }, count - filled, &made, &hasEnded)
        }
      }
      used += taken
      switch status {
      case THAW_ZLIB_OK: return made
      case THAW_ZLIB_NO_MEMORY: throw whole.failure("no memory to decompress it", .tooLarge)
      default: throw whole.failure("the compressed data is damaged", .malformed)
      }
    }
  }
}
