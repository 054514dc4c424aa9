// SPDX-License-Identifier: Apache-2.0

import Glibc
package import SystemPackage
import ThawFiles

/// Features of photos on disk, computed once and kept for every later training.
///
/// `DIRECTORY/KEY/rows` holds rows of numbers, `DIRECTORY/KEY/index` says which photo and view each
/// was computed from, with a checksum of every row. KEY is the hash of everything else that the
/// features depend on (weights, graph up to the cut, preprocessing, input size); features of another
/// key are never seen. A row is on the disk before the index names it, and every row is compared
/// with its checksum when the cache is opened: what was torn, cut or altered is dropped, counted in
/// ``recovery`` and computed again, never used.
///
/// One process at a time: the directory of a key is locked while a cache is open. Not for use from
/// several threads.
package final class FeatureCache {
  /// What was found wrong when the cache was opened.
  package struct Recovery: Sendable, Hashable {
    /// Rows whose numbers or index entries were damaged or torn, and which count as missing now.
    package let droppedRows: Int
    /// Whether the whole cache was started afresh because the index's header was not the expected.
    package let isReset: Bool

    /// Nothing wrong, unless said otherwise.
    package init(droppedRows: Int = 0, isReset: Bool = false) {
      self.droppedRows = droppedRows
      self.isReset = isReset
    }
  }

  /// Bytes that a row takes besides its numbers.
  package static let indexBytesPerRow = FeatureEntry.byteCount

  /// Numbers in a row.
  package var rowLength: Int { format.rowLength }
  /// Rows in the cache.
  package var count: Int { rows.count }
  /// What was found wrong when the cache was opened.
  package let recovery: Recovery

  private let format: FeatureFormat
  private let place: FeatureCachePlace
  private let lock: DirectoryLock
  private let data: OpenFile
  private let index: OpenFile
  private var rows: [FeatureID: Int]
  private var nextRow: Int
  private var indexSize: Int
  private var ids = FeatureIDMaker()
  private var encoded: [UInt8] = []

  /// Opens the cache of `key`, or makes an empty one, and checks every row.
  ///
  /// - Parameters:
  ///   - directory: where the caches of all keys are; made when absent.
  ///   - key: 64 lower-case hexadecimal digits; traps otherwise.
  ///   - rowLength: numbers in a row, at least 1.
  /// - Throws: `FileError`, with `inUse` when another process has it open.
  package init(
    directory: FilePath, key: String, rowLength: Int, precision: FeaturePrecision = .float32
  ) throws {
    precondition(
      hexadecimalBytes(key)?.count == 32, "A cache key needs 64 hexadecimal digits, got '\(key)'.")
    precondition(rowLength > 0, "A cache needs rows of at least 1 number, got \(rowLength).")
    format = FeatureFormat(key: key, rowLength: rowLength, precision: precision)
    place = FeatureCachePlace(directory: directory.appending(key))
    try FileSystem.createDirectory(place.directory)
    lock = try DirectoryLock(place.directory)
    let indexName = place.index.lastComponent?.string
    AtomicFile.removeLeftovers(in: place.directory) { $0 == indexName }
    let contents = try place.recover(format)
    recovery = contents.recovery
    rows = contents.rows
    nextRow = (rows.values.max() ?? -1) + 1
    indexSize = FeatureIndex.headerSize + rows.count * FeatureEntry.byteCount
    data = try OpenFile(place.rows, O_RDWR | O_CREAT, "open")
    do {
      index = try OpenFile(place.index, O_RDWR, "open")
    } catch {
      data.closeIgnoringErrors()
      throw error
    }
  }

  deinit {
    data.closeIgnoringErrors()
    index.closeIgnoringErrors()
  }

  /// Whether the row is there.
  package func contains(_ key: FeatureKey) -> Bool { rows[ids.id(key)] != nil }

  /// The keys without a row, each once, in the order given.
  package func missing(from keys: [FeatureKey]) -> [FeatureKey] {
    var seen: Set<FeatureID> = []
    return keys.filter { key in
      let id = ids.id(key)
      return rows[id] == nil && seen.insert(id).inserted
    }
  }

  /// Adds rows; when this returns they survive a loss of power. Keys that have a row are skipped.
  ///
  /// A call syncs twice: pass a few dozen rows or more at a time.
  ///
  /// - Parameter values: the rows one behind the other, `keys.count` times ``rowLength`` numbers.
  /// - Throws: `FileError` (what was there before stays usable);
  ///   ``DatasetError/nonFiniteFeatures(content:view:)`` before anything is written.
  package func append(_ keys: [FeatureKey], _ values: UnsafeBufferPointer<Float>) throws {
    precondition(
      values.count == keys.count * rowLength,
      "\(keys.count) rows of \(rowLength) need \(keys.count * rowLength) numbers,"
        + " got \(values.count).")
    var entries: [FeatureEntry] = []
    var added: Set<FeatureID> = []
    encoded.removeAll(keepingCapacity: true)
    for (position, key) in keys.enumerated() {
      let id = ids.id(key)
      guard rows[id] == nil, added.insert(id).inserted else { continue }
      let row = UnsafeBufferPointer(rebasing: values[(position * rowLength)...].prefix(rowLength))
      guard format.encode(row, into: &encoded) else {
        throw DatasetError.nonFiniteFeatures(content: key.content, view: key.view)
      }
      let checksum = encoded.withUnsafeBytes { bytes in
        Checksum.of(UnsafeRawBufferPointer(rebasing: bytes.suffix(format.rowBytes)))
      }
      entries.append(FeatureEntry(id: id, row: nextRow + entries.count, checksum: checksum))
    }
    try write(entries)
  }

  /// Adds rows from an array.
  package func append(_ keys: [FeatureKey], _ values: [Float]) throws {
    try values.withUnsafeBufferPointer { try append(keys, $0) }
  }

  /// The rows of `keys`, in that order, as a view of the file; a key may occur several times.
  ///
  /// Traps when one is missing: ask ``missing(from:)`` first. The view stays valid after the cache
  /// is closed or added to.
  ///
  /// - Throws: `FileError`.
  package func matrix(for keys: [FeatureKey]) throws -> FeatureMatrix {
    let order = keys.map { key in
      guard let row = rows[ids.id(key)] else {
        preconditionFailure(
          "A matrix needs every row cached, but there is none of \(key.content), '\(key.view)'.")
      }
      return row
    }
    return FeatureMatrix(file: try MappedFile(place.rows), rows: order, format: format)
  }

  private func write(_ entries: [FeatureEntry]) throws {
    guard !entries.isEmpty else { return }
    try encoded.withUnsafeBytes { try data.write($0, at: nextRow * format.rowBytes) }
    try data.synchronize()
    let lines = entries.flatMap(\.bytes)
    try lines.withUnsafeBytes { try index.write($0, at: indexSize) }
    try index.synchronize()
    indexSize += lines.count
    nextRow += entries.count
    for entry in entries { rows[entry.id] = entry.row }
  }
}
