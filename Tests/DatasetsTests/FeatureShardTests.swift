// SPDX-License-Identifier: Apache-2.0

import SystemPackage
import Testing
import ThawDatasets
import ThawFiles
import ThawTestSupport

/// A cache to which several ranks add, each in files of its own.
@Suite struct FeatureShardTests {
  private let key = String(repeating: "cd", count: 32)

  private func feature(_ number: Int) -> FeatureKey {
    FeatureKey(content: SHA256.hexadecimal(of: Array("\(number)".utf8)), view: "center")
  }

  private func open(_ directory: TemporaryDirectory, shard: Int) throws -> FeatureCache {
    try FeatureCache(directory: directory.path, key: key, rowLength: 3, shard: shard)
  }

  private func add(_ numbers: [Int], to cache: FeatureCache) throws {
    try cache.append(
      numbers.map(feature), numbers.flatMap { [Float($0), Float($0) + 0.5, -Float($0)] })
  }

  private func rows(_ cache: FeatureCache, _ numbers: [Int]) throws -> [[Float]] {
    let matrix = try cache.matrix(for: numbers.map(feature))
    return numbers.indices.map { index in matrix.withRow(index) { Array($0) } }
  }

  private func expected(_ numbers: [Int]) -> [[Float]] {
    numbers.map { [Float($0), Float($0) + 0.5, -Float($0)] }
  }

  /// Three ranks add; everybody sees everything after a refresh, and whoever opens it later, on however
  /// many ranks.
  @Test func shardsAreJoined() throws {
    let directory = try TemporaryDirectory()
    let all = [5, 0, 2, 4, 1, 3]
    do {
      let ranks = try (0..<3).map { try open(directory, shard: $0) }
      for (rank, cache) in ranks.enumerated() { try add([2 * rank, 2 * rank + 1], to: cache) }
      #expect(ranks[0].missing(from: all.map(feature)).count == 4)
      #expect(ranks[0].rowsOnDisk() == 6)
      for cache in ranks {
        try cache.refresh()
        #expect(cache.count == 6)
        #expect(try rows(cache, all) == expected(all))
      }
    }
    for shard in [0, 1, 7] {
      let leader = try open(directory, shard: 0)
      let cache = shard == 0 ? leader : try open(directory, shard: shard)
      #expect(cache.recovery == .init())
      #expect(cache.missing(from: all.map(feature)).isEmpty, "as rank \(shard)")
      #expect(try rows(cache, all) == expected(all))
      withExtendedLifetime(leader) {}
    }
    let alone = try open(directory, shard: 0)
    try add([6], to: alone)
    #expect(try rows(alone, [6, 5]) == expected([6, 5]))
    let (summary, files) = (
      try FeatureCache.list(directory.path)[0],
      try FileSystem.list(directory.path.appending(key)).filter { !$0.string.hasPrefix(".") }
    )
    let sizes = try files.map {
      try FileStatus(of: directory.path.appending(key).appending($0)).size
    }
    #expect(summary.size == sizes.reduce(0, +))
  }

  /// What another rank left torn is dropped by rank 0, and computed again by anybody.
  @Test func damageInAnyShardIsFoundByRank0() throws {
    let directory = try TemporaryDirectory()
    do {
      let leader = try open(directory, shard: 0)
      try add([0, 1, 2], to: try open(directory, shard: 2))
      withExtendedLifetime(leader) {}
    }
    let file = directory.path.appending(key).appending("rows.2")
    var bytes = try FileSystem.read(file)
    bytes[12 + 3] ^= 1
    try AtomicFile.write(file, bytes: bytes)
    let leader = try open(directory, shard: 0)
    #expect(leader.recovery.droppedRows == 1)
    #expect(leader.missing(from: [0, 1, 2].map(feature)) == [feature(1)])
    // The rank that follows sees what rank 0 left, and writes behind its own rows.
    let follower = try open(directory, shard: 2)
    #expect(follower.missing(from: [0, 1, 2].map(feature)) == [feature(1)])
    try add([1], to: follower)
    try leader.refresh()
    #expect(try rows(leader, [2, 1, 0]) == expected([2, 1, 0]))
  }

  @Test func aSecondLeaderIsRefused() throws {
    let directory = try TemporaryDirectory()
    let leader = try open(directory, shard: 0)
    #expect(throws: FileError.self) { _ = try open(directory, shard: 0) }
    withExtendedLifetime(leader) {}
  }
}
