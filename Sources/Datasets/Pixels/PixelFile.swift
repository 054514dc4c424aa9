// SPDX-License-Identifier: Apache-2.0

import Glibc
import Synchronization
import SystemPackage
import ThawFiles
import ThawImages

/// A file of decoded photos, one behind the other, each behind a header with its checksum.
///
/// Photos are read into memory of their own, never mapped: the kernel keeps the file's pages in its cache
/// all the same, and a file that somebody cuts cannot kill the process. A photo is written under a header
/// that comes last, so a process that is killed leaves at most bytes behind the last whole photo, which
/// opening cuts off.
final class PixelFile: Sendable {
  /// What a file has of a photo.
  enum Outcome {
    case absent, damaged
    case found(DecodedImage)
  }

  private struct State {
    var entries: [String: PixelEntry] = [:]
    /// Those that were compared with their checksum.
    var verified: Set<String> = []
    var end: Int
    var isFull = false
  }

  let path: FilePath
  /// What was found wrong when the file was opened; nil for nothing.
  let note: String?
  private let file: OpenFile
  private let state: Mutex<State>

  /// Opens a file or makes it, and finds the photos in it.
  ///
  /// - Throws: `FileError`.
  init(_ path: FilePath, key: String) throws {
    self.path = path
    try FileSystem.createDirectory(path.removingLastComponent())
    file = try OpenFile(path, O_RDWR | O_CREAT, "open")
    do {
      let (found, note) = try PixelFile.opened(file, header: PixelEntry.fileHeader(key: key))
      state = Mutex(found)
      self.note = note
    } catch {
      file.closeIgnoringErrors()
      throw error
    }
  }

  deinit { file.closeIgnoringErrors() }

  /// Bytes of the photos that are in it.
  var byteCount: Int { state.withLock(\.end) }

  /// Whether nothing more is written.
  var isFull: Bool {
    get { state.withLock(\.isFull) }
    set { state.withLock { $0.isFull = newValue } }
  }

  /// Bytes that a photo takes in a file.
  static func byteCount(of image: DecodedImage) -> Int {
    PixelEntry.headerSize + image.image.pixels.count
  }

  /// The pixels of a photo. What is damaged is forgotten, so that it is absent the next time.
  func read(_ content: String) -> Outcome {
    let (entry, isVerified) = state.withLock {
      ($0.entries[content], $0.verified.contains(content))
    }
    guard let entry else { return .absent }
    guard let image = pixels(of: entry),
      isVerified || image.pixels.withUnsafeBytes({ Checksum.of($0) }) == entry.checksum
    else {
      _ = state.withLock { $0.entries.removeValue(forKey: content) }
      return .damaged
    }
    if !isVerified { _ = state.withLock { $0.verified.insert(content) } }
    return .found(
      DecodedImage(
        kept: image, as: entry.form, original: entry.original,
        scaleDenominator: entry.scaleDenominator))
  }

  private func pixels(of entry: PixelEntry) -> RGBImage? {
    try? RGBImage(size: entry.size) {
      (output: UnsafeMutableBufferPointer<UInt8>) throws(FileError) in
      let bytes = UnsafeMutableRawBufferPointer(output)
      guard try file.read(into: bytes, at: entry.offset) == bytes.count else {
        throw FileError(path, "read", .changedWhileReading(expected: bytes.count, found: 0))
      }
    }
  }

  /// Adds a photo; from several threads at once.
  ///
  /// - Throws: `FileError`.
  func append(_ image: DecodedImage, of content: String) throws {
    let size = PixelFile.byteCount(of: image)
    let start: Int? = state.withLock { state in
      guard !state.isFull else { return nil }
      defer { state.end += size }
      return state.end
    }
    guard let start else { return }
    guard let entry = PixelEntry(image, content: content, start: start) else { return }
    // The header last: it makes the pixels before it valid.
    for (bytes, place) in [(image.image.pixels, entry.offset), (entry.header, start)] {
      try bytes.withUnsafeBytes { try file.write($0, at: place) }
    }
    state.withLock { $0.entries[content] = entry }
  }

  /// Finds the photos behind a header; makes the file anew when it has another one.
  private static func opened(
    _ file: OpenFile, header: [UInt8]
  ) throws -> (State, String?) {
    let size = try file.status().size
    var found = [UInt8](repeating: 0, count: header.count)
    let count = try found.withUnsafeMutableBytes { try file.read(into: $0, at: 0) }
    guard count == header.count, found == header else {
      try file.cut(to: 0)
      try header.withUnsafeBytes { try file.write($0, at: 0) }
      let note =
        size > 0
        ? "\(file.path.displayed): is not of these settings or is damaged; it begins anew." : nil
      return (State(end: header.count), note)
    }
    var state = State(end: header.count)
    var place = [UInt8](repeating: 0, count: PixelEntry.headerSize)
    while state.end < size {
      let read = try place.withUnsafeMutableBytes { try file.read(into: $0, at: state.end) }
      guard read == place.count, let entry = PixelEntry(header: place, start: state.end),
        entry.end <= size
      else { break }
      state.entries[entry.content] = entry
      state.end = entry.end
    }
    guard state.end < size else { return (state, nil) }
    try file.cut(to: state.end)
    let kept = state.entries.count
    return (
      state,
      "\(file.path.displayed): \(size - state.end) bytes behind \(kept) kept photos are not whole; those"
        + " photos are decoded anew."
    )
  }
}
