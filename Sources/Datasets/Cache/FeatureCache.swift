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
/// One process at a time: the directory of a key is locked while a cache is open. The ranks of a job open
/// it together: rank 0 holds the lock and checks all rows, rank N adds to `rows.N` and `index.N`, and
/// everybody reads the shards of all, whoever wrote them when. Not for use from several threads.
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

  /// A row's place.
  private struct Place {
    let shard: Int
    let row: Int
  }

  private let format: FeatureFormat
  private let place: FeatureCachePlace
  /// Nil where rank 0 holds it.
  private let lock: DirectoryLock?
  private let data: OpenFile
  private let index: OpenFile
  private var rows: [FeatureID: Place] = [:]
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
  ///   - shard: number of this rank in a job. Above 0 rank 0 must have opened the cache before and keep it
  ///     open.
  /// - Throws: `FileError`, with `inUse` when another process has it open.
  package init(
    directory: FilePath, key: String, rowLength: Int, precision: FeaturePrecision = .float32,
    shard: Int = 0
  ) throws {
    precondition(
      hexadecimalBytes(key)?.count == 32, "A cache key needs 64 hexadecimal digits, got '\(key)'.")
    precondition(rowLength > 0, "A cache needs rows of at least 1 number, got \(rowLength).")
    format = FeatureFormat(key: key, rowLength: rowLength, precision: precision)
    place = FeatureCachePlace(directory: directory.appending(key), shard: shard)
    try FileSystem.createDirectory(place.directory)
    lock = shard == 0 ? try DirectoryLock(place.directory) : nil
    if shard == 0 {
      AtomicFile.removeLeftovers(in: place.directory) { $0.hasPrefix("index") }
    }
    var (dropped, isReset) = (0, false)
    (nextRow, indexSize) = (0, FeatureIndex.headerSize)
    for one in try place.all() {
      let entries: [FeatureID: Int]
      if shard == 0 || one.shard == shard {
        let contents = try one.recover(format)
        dropped += contents.recovery.droppedRows
        isReset = isReset || contents.recovery.isReset
        entries = contents.rows
      } else {
        entries = Dictionary(
          try one.entries(format).map { ($0.id, $0.row) }, uniquingKeysWith: { $1 })
      }
      for (id, row) in entries { rows[id] = Place(shard: one.shard, row: row) }
      if one.shard == shard {
        nextRow = (entries.values.max() ?? -1) + 1
        indexSize += entries.count * FeatureEntry.byteCount
      }
    }
    recovery = Recovery(droppedRows: dropped, isReset: isReset)
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
    var files: [Int: MappedFile] = [:]
    var order: [FeatureMatrix.Row] = []
    order.reserveCapacity(keys.count)
    for key in keys {
      guard let row = rows[ids.id(key)] else {
        preconditionFailure(
          "A matrix needs every row cached, but there is none of \(key.content), '\(key.view)'.")
      }
      if files[row.shard] == nil {
        let shard = FeatureCachePlace(directory: place.directory, shard: row.shard)
        files[row.shard] = try MappedFile(shard.rows)
      }
      order.append(FeatureMatrix.Row(shard: row.shard, row: row.row))
    }
    return FeatureMatrix(files: files, rows: order, format: format)
  }

  /// Takes notice of the rows that other ranks have added since.
  ///
  /// - Throws: `FileError`.
  package func refresh() throws {
    for one in try place.all() where one.shard != place.shard {
      for entry in try one.entries(format) where rows[entry.id] == nil {
        rows[entry.id] = Place(shard: one.shard, row: entry.row)
      }
    }
  }

  /// Rows that all ranks have put on the disk by now, by the sizes of their indices.
  package func rowsOnDisk() -> Int {
    ((try? place.all()) ?? []).reduce(0) { sum, shard in
      let size = (try? FileStatus(of: shard.index))?.size ?? 0
      return sum + max(size - FeatureIndex.headerSize, 0) / FeatureEntry.byteCount
    }
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
    for entry in entries { rows[entry.id] = Place(shard: place.shard, row: entry.row) }
  }
}
