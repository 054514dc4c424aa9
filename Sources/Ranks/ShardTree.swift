// SPDX-License-Identifier: Apache-2.0

/// In which order the gradients of a batch's shards are added: always the halves of a range first, then
/// the two sums. Float additions do not associate, so this order, and not the number of ranks, decides
/// the bits; it needs few partial sums from each rank, and the pairs keep rounding errors small.
package struct ShardTree: Sendable {
  /// Shards of a batch, at least 1.
  package let shards: Int

  /// The tree of so many shards.
  package init(shards: Int) {
    precondition(shards > 0, "A batch has at least one shard.")
    self.shards = shards
  }

  /// The shards that rank `rank` computes: as even as may be, in order.
  package func shards(of rank: Int, of ranks: Int) -> Range<Int> {
    rank * shards / ranks..<(rank + 1) * shards / ranks
  }

  /// Whether the sums of two neighbouring ranges are added to one another.
  package func adds(_ left: Range<Int>, _ right: Range<Int>) -> Bool {
    guard left.upperBound == right.lowerBound else { return false }
    var node = 0..<shards
    while node.count > 1 {
      let middle = node.lowerBound + node.count / 2
      if node == left.lowerBound..<right.upperBound { return left.upperBound == middle }
      if right.upperBound <= middle {
        node = node.lowerBound..<middle
      } else if left.lowerBound >= middle {
        node = middle..<node.upperBound
      } else {
        return false
      }
    }
    return false
  }

  /// The partial sums that come of shards `range` alone, in order.
  package func sums(of range: Range<Int>) -> [Range<Int>] {
    var stack: [Range<Int>] = []
    for shard in range {
      stack.append(shard..<shard + 1)
      while stack.count > 1, adds(stack[stack.count - 2], stack[stack.count - 1]) {
        let right = stack.removeLast()
        stack[stack.count - 1] = stack[stack.count - 1].lowerBound..<right.upperBound
      }
    }
    return stack
  }
}

/// Sums of shards under way: arrays of one length, added as ``ShardTree`` says.
struct ShardSums {
  let tree: ShardTree
  let count: Int
  private(set) var stack: [(range: Range<Int>, values: UnsafeMutablePointer<Float>)] = []

  init(_ tree: ShardTree, count: Int) {
    (self.tree, self.count) = (tree, count)
  }

  /// Adds the sum of `range`, which follows the last one; its memory may be written to.
  mutating func push(_ range: Range<Int>, _ values: UnsafeMutablePointer<Float>) {
    stack.append((range, values))
    while stack.count > 1, tree.adds(stack[stack.count - 2].range, stack[stack.count - 1].range) {
      let right = stack.removeLast()
      let left = stack[stack.count - 1]
      let (sum, more) = (left.values, right.values)
      for index in 0..<count { sum[index] += more[index] }
      stack[stack.count - 1].range = left.range.lowerBound..<right.range.upperBound
    }
  }
}
