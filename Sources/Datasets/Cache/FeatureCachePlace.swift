// SPDX-License-Identifier: Apache-2.0

import SystemPackage
import ThawFiles

/// The files of one key's cache, and what can be saved from them.
struct FeatureCachePlace {
  struct Contents {
    var rows: [FeatureID: Int] = [:]
    var recovery = FeatureCache.Recovery()
  }

  let directory: FilePath
  /// Whose rows: a process on its own and the leader of several have number 0.
  var shard = 0

  var rows: FilePath { directory.appending(shard == 0 ? "rows" : "rows.\(shard)") }
  var index: FilePath { directory.appending(shard == 0 ? "index" : "index.\(shard)") }

  /// All shards that are there, this one always among them, in ascending order.
  func all() throws -> [FeatureCachePlace] {
    let found = try FileSystem.list(directory).compactMap { name -> Int? in
      guard name.string.hasPrefix("index.") else { return nil }
      return Int(name.string.dropFirst(6)).flatMap { $0 > 0 ? $0 : nil }
    }
    return Set(found + [0, shard]).sorted().map {
      FeatureCachePlace(directory: directory, shard: $0)
    }
  }

  /// The entries that the index has now, as they are; for a shard that another process has checked.
  func entries(_ format: FeatureFormat) throws -> [FeatureEntry] {
    guard FileSystem.exists(index) else { return [] }
    return FeatureIndex.parse(try FileSystem.read(index), format)?.entries ?? []
  }

  /// Keeps the rows that agree with their checksums; afterwards the index names exactly those.
  func recover(_ format: FeatureFormat) throws -> Contents {
    guard FileSystem.exists(index) else { return try reset(format, wasThere: false) }
    guard let (entries, damaged) = FeatureIndex.parse(try FileSystem.read(index), format) else {
      return try reset(format, wasThere: true)
    }
    let good = try verified(entries, format)
    var contents = Contents()
    for entry in good { contents.rows[entry.id] = entry.row }
    let dropped = damaged + entries.count - good.count
    if contents.rows.count != entries.count || damaged > 0 {
      try writeIndex(format, good.filter { contents.rows[$0.id] == $0.row })
    }
    contents.recovery = .init(droppedRows: dropped)
    return contents
  }

  private func verified(_ entries: [FeatureEntry], _ format: FeatureFormat) throws -> [FeatureEntry]
  {
    guard FileSystem.exists(rows) else { return [] }
    return try MappedFile(rows).withUnsafeBytes { bytes in
      let available = bytes.count / format.rowBytes
      return entries.filter { entry in
        guard entry.row < available else { return false }
        let row = UnsafeRawBufferPointer(
          rebasing: bytes[(entry.row * format.rowBytes)...].prefix(format.rowBytes))
        return Checksum.of(row) == entry.checksum
      }
    }
  }

  private func reset(_ format: FeatureFormat, wasThere: Bool) throws -> Contents {
    try writeIndex(format, [])
    return Contents(recovery: .init(isReset: wasThere))
  }

  private func writeIndex(_ format: FeatureFormat, _ entries: [FeatureEntry]) throws {
    try AtomicFile.write(
      index, bytes: FeatureIndex.header(format) + entries.flatMap(\.bytes))
  }
}
