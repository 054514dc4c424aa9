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
        exchange.add(number) { _ = $0.update(fromContentsOf: shard(number, count: count)) }
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
