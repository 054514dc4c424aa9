// SPDX-License-Identifier: Apache-2.0

import Testing
import ThawRankThreads
import ThawRanks

/// Gradients of shards that rounding makes differ by the order in which they are added.
private func shard(_ number: Int, count: Int) -> [Float] {
  var state = UInt64(number + 1) &* 0x9E37_79B9_7F4A_7C15
  return (0..<count).map { _ in
    state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
    return Float(Int64(bitPattern: state) >> 20) * (number % 3 == 0 ? 1e-3 : 1e-9)
  }
}

/// The sum that one rank, or each of several, has.
private func sums(shards: Int, ranks: Int, count: Int) throws -> [[Float]] {
  @Sendable func sum(_ group: RankGroup) throws -> [Float] {
    let exchange = GradientExchange(group, shards: shards, count: count)
    var last: [Float] = []
    // Twice: memory is used again.
    for _ in 0..<2 {
      for number in exchange.ownShards {
        try exchange.add(number) { _ = $0.update(fromContentsOf: shard(number, count: count)) }
      }
      last = Array(try exchange.sum())
    }
    return last
  }
  return ranks == 1 ? [try sum(.alone)] : try asRanks(ranks, sum)
}

@Suite struct ShardTreeTests {
  @Test(arguments: [1, 2, 3, 4, 5, 7, 8, 12])
  func sumsHaveTheSameBitsOnAnyNumberOfRanks(shards: Int) throws {
    // More numbers than a message of a slice holds on two ranks, and a few that do not divide.
    let count = shards == 4 ? 2 * (1 << 20) + 1234 : 1003
    let alone = try sums(shards: shards, ranks: 1, count: count)[0].map(\.bitPattern)
    for ranks in [2, 3, 4, 8] {
      for sum in try sums(shards: shards, ranks: ranks, count: count) {
        #expect(sum.map(\.bitPattern) == alone, "\(shards) shards on \(ranks) ranks")
      }
    }
  }

  /// Blocks as backward passes make them: a shard after the other, and all shards of a layer before the next one.
  @Test(arguments: [true, false])
  func blocksAreAddedAsTheWholeGradientIs(shardByShard: Bool) throws {
    let counts = [300_000, 3, 1_100_000, 1, 700_000]
    let count = counts.reduce(0, +)
    let starts = counts.reduce(into: [0]) { $0.append($0[$0.count - 1] + $1) }
    // Block 1 of the last shard is missing: zeros.
    @Sendable func values(_ number: Int) -> [Float] {
      var values = shard(number, count: count)
      if number == 4 { for index in starts[1]..<starts[2] { values[index] = 0 } }
      return values
    }
    let whole = GradientExchange(.alone, shards: 5, count: count)
    for number in 0..<5 { try whole.add(number) { _ = $0.update(fromContentsOf: values(number)) } }
    let expected = Array(try whole.sum()).map(\.bitPattern)
    @Sendable func sum(_ group: RankGroup) throws -> [UInt32] {
      let exchange = GradientExchange(group, shards: 5, counts: counts)
      var last: [UInt32] = []
      for _ in 0..<2 {
        let own = exchange.ownShards
        let blocks = counts.indices.reversed()
        let order =
          shardByShard
          ? own.flatMap { number in blocks.map { (number, $0) } }
          : blocks.flatMap { block in own.map { ($0, block) } }
        for (number, block) in order where !(number == 4 && block == 1) {
          let numbers = values(number)[starts[block]..<starts[block + 1]]
          try exchange.add(number, block: block) { _ = $0.update(fromContentsOf: numbers) }
          try exchange.advance()
        }
        last = Array(try exchange.sum()).map(\.bitPattern)
      }
      return last
    }
    #expect(try sum(.alone) == expected)
    for ranks in [2, 3, 7] {
      for one in try asRanks(ranks, sum) { #expect(one == expected, "\(ranks) ranks") }
    }
  }

  /// What is complete is sent and added up while the rest is still to come.
  @Test func theEndIsSummedBeforeTheBeginningIsThere() throws {
    let counts = [1 << 20, 1 << 20]
    let early = try asRanks(2) { group in
      let exchange = GradientExchange(group, shards: 2, counts: counts)
      try exchange.add(group.rank, block: 1) { $0.update(repeating: 1) }
      while exchange.summedBuckets < 1 { try exchange.advance() }
      let before = exchange.summedBuckets
      try exchange.add(group.rank, block: 0) { $0.update(repeating: 2) }
      let sum = try exchange.sum()
      return [Float(before), sum[0], sum[sum.count - 1]]
    }
    #expect(early == [[1, 4, 2], [1, 4, 2]])
  }

  /// What the order is about: a plain sum over the shards would have other bits.
  @Test func theOrderMatters() throws {
    let tree = try sums(shards: 8, ranks: 1, count: 1003)[0]
    var plain = [Float](repeating: 0, count: 1003)
    for number in 0..<8 {
      for (index, value) in shard(number, count: 1003).enumerated() { plain[index] += value }
    }
    #expect(tree != plain)
    for (one, other) in zip(tree, plain) { #expect(abs(one - other) <= 1e-5 * abs(one) + 1e-3) }
  }

  @Test func aRankSendsFewPartialSums() {
    let tree = ShardTree(shards: 8)
    #expect(tree.sums(of: 0..<8) == [0..<8])
    #expect(tree.sums(of: 4..<8) == [4..<8])
    #expect(tree.sums(of: 1..<4) == [1..<2, 2..<4])
    #expect((0..<3).map { tree.shards(of: $0, of: 3) } == [0..<2, 2..<5, 5..<8])
    #expect(tree.shards(of: 15, of: 16) == 7..<8)
    #expect(tree.shards(of: 14, of: 16) == 7..<7)
  }
}
