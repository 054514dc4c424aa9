// SPDX-License-Identifier: Apache-2.0

/// Adds the gradients of a batch's shards, wherever they were computed, in the order of ``ShardTree``:
/// the sums are the same to the bit on any number of ranks.
///
/// The gradient comes in blocks (the parameters), the last first, as a backward pass makes them. It is sent in
/// buckets of 4 MB, from its end to its beginning, each as soon as all of this rank's shards have added to it: a
/// bucket is cut into a slice for each rank, which adds it up (reduce-scatter) and sends the sum to all
/// (allgather). What is under way moves when somebody calls ``advance()``. Takes memory once.
package final class GradientExchange {
  private let group: RankGroup
  private let tree: ShardTree
  /// Where each block begins, and where the last one ends.
  private let starts: [Int]
  private var count: Int { starts[starts.count - 1] }
  /// The partial sums of each block, the left-most first; sum i of any block lies in `levels[i]`.
  private var sums: [ShardSums]
  private var levels: [UnsafeMutablePointer<Float>] = []
  /// Own shards that each block has.
  private var added: [Int]
  private var buckets: GradientBuckets
  /// Of several ranks, the sums over all shards.
  private var target: UnsafeMutablePointer<Float>?

  /// - Parameter counts: numbers of each block, in order.
  package init(_ group: RankGroup, shards: Int, counts: [Int]) {
    self.group = group
    tree = ShardTree(shards: shards)
    starts = counts.reduce(into: [0]) { $0.append($0[$0.count - 1] + $1) }
    let tree = tree
    sums = counts.map { ShardSums(tree, count: $0) }
    added = counts.map { _ in 0 }
    buckets = GradientBuckets(group, tree, count: starts[starts.count - 1])
  }

  /// A gradient of one block.
  package convenience init(_ group: RankGroup, shards: Int, count: Int) {
    self.init(group, shards: shards, counts: [count])
  }

  deinit {
    // What a failed step has left under way must keep its memory.
    guard !buckets.isOpen else { return }
    for memory in levels { memory.deallocate() }
    target?.deallocate()
    buckets.deallocate()
  }

  /// The numbers of each message's bucket, in the order in which they are sent.
  package static func buckets(of count: Int) -> [Range<Int>] {
    stride(from: count, to: 0, by: -RankGroup.bucket).map { max($0 - RankGroup.bucket, 0)..<$0 }
  }

  /// The shards that this rank computes, in the order in which they are to be added.
  package var ownShards: Range<Int> { shards(of: group.rank) }

  /// The shards that rank `rank` computes.
  package func shards(of rank: Int) -> Range<Int> { tree.shards(of: rank, of: group.count) }

  /// Buckets of the step under way that this rank has added up its slice of.
  package var summedBuckets: Int { buckets.isOpen ? buckets.summed : 0 }

  /// Takes a block of own shard `shard`, which `body` writes; shards come in order, blocks in any.
  package func add(
    _ shard: Int, block: Int = 0, _ body: (UnsafeMutableBufferPointer<Float>) throws -> Void
  ) throws {
    precondition(
      shard == ownShards.lowerBound + added[block], "The shards of a block come in order.")
    let memory = level(sums[block].stack.count) + starts[block]
    let count = starts[block + 1] - starts[block]
    try body(UnsafeMutableBufferPointer(start: memory, count: count))
    sums[block].push(shard..<shard + 1, memory)
    added[block] += 1
    guard group.hasOthers, added[block] == ownShards.count else { return }
    try open()
    buckets.complete(starts[block]..<starts[block + 1])
    try advance()
  }

  /// Sends what is complete, adds what has arrived.
  ///
  /// - Throws: ``RankError/lost(_:)``.
  package func advance() throws {
    guard buckets.isOpen else { return }
    try buckets.advance(levels)
  }

  /// Forgets what a step that failed before its messages has taken.
  package func reset() {
    for block in sums.indices {
      sums[block] = ShardSums(tree, count: starts[block + 1] - starts[block])
      added[block] = 0
    }
  }

  private func open() throws {
    guard !buckets.isOpen else { return }
    for depth in 0..<tree.sums(of: ownShards).count { _ = level(depth) }
    let memory = target ?? UnsafeMutablePointer<Float>.allocate(capacity: max(count, 1))
    target = memory
    try buckets.open(into: memory)
  }

  private func level(_ depth: Int) -> UnsafeMutablePointer<Float> {
    while levels.count <= depth {
      levels.append(UnsafeMutablePointer<Float>.allocate(capacity: max(count, 1)))
    }
    return levels[depth]
  }

  /// The sum over all shards, valid until the next one is taken. Blocks that the last own shards have not given are
  /// zeros.
  ///
  /// - Throws: ``RankError/lost(_:)``.
  package func sum() throws -> UnsafeMutableBufferPointer<Float> {
    for block in sums.indices.reversed() {
      while added[block] < ownShards.count {
        try add(ownShards.lowerBound + added[block], block: block) { $0.update(repeating: 0) }
      }
    }
    reset()
    guard group.hasOthers else {
      return UnsafeMutableBufferPointer(start: level(0), count: count)
    }
    // A rank without shards comes here first.
    try open()
    try buckets.finish(levels)
    return UnsafeMutableBufferPointer(start: target, count: count)
  }
}
