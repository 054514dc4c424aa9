// SPDX-License-Identifier: Apache-2.0

/// Adds the gradients of a batch's shards, wherever they were computed, in the order of ``ShardTree``:
/// the sums are the same to the bit on any number of ranks.
///
/// Each rank adds up a slice of the gradient (reduce-scatter) and sends the sums to all (allgather), in
/// messages of 4 MB, so that slices are added while others are on their way. Takes memory once.
package final class GradientExchange {
  private let group: RankGroup
  private let tree: ShardTree
  /// Numbers of the gradient.
  private let count: Int
  /// Whole gradients: sums of own shards.
  private var free: [UnsafeMutablePointer<Float>] = []
  private var allocated: [UnsafeMutablePointer<Float>] = []
  private var sums: ShardSums
  /// What others send for this rank's slice.
  private var incoming: UnsafeMutablePointer<Float>?
  /// Memory of the last exchange's result, its own until the next shard is taken.
  private var result: UnsafeMutablePointer<Float>?

  /// - Parameter count: numbers of the gradient, at least 1.
  package init(_ group: RankGroup, shards: Int, count: Int) {
    self.group = group
    self.count = count
    tree = ShardTree(shards: shards)
    sums = ShardSums(tree, count: count)
  }

  deinit {
    for memory in allocated { memory.deallocate() }
    incoming?.deallocate()
  }

  /// The shards that this rank computes, in the order in which they are to be added.
  package var ownShards: Range<Int> { tree.shards(of: group.rank, of: group.count) }

  /// Takes the gradient of the next own shard, which `body` writes.
  package func add(_ shard: Int, _ body: (UnsafeMutableBufferPointer<Float>) throws -> Void)
    rethrows
  {
    if let result {
      free.append(result)
      self.result = nil
    }
    let memory = take()
    do { try body(UnsafeMutableBufferPointer(start: memory, count: count)) } catch {
      free.append(memory)
      throw error
    }
    free += sums.push(shard..<shard + 1, memory)
  }

  /// Forgets the shards that were taken.
  package func reset() {
    free += sums.stack.map(\.values)
    if let result { free.append(result) }
    result = nil
    sums = ShardSums(tree, count: count)
  }

  private func take() -> UnsafeMutablePointer<Float> {
    if let memory = free.popLast() { return memory }
    let memory = UnsafeMutablePointer<Float>.allocate(capacity: count)
    allocated.append(memory)
    return memory
  }

  /// The sum over all shards, valid until the next one is taken.
  ///
  /// - Throws: ``RankError/lost(_:)``.
  package func sum() throws -> UnsafeMutableBufferPointer<Float> {
    let own = sums.stack
    sums = ShardSums(tree, count: count)
    let target: UnsafeMutablePointer<Float>
    if group.count == 1 {
      precondition(own.count == 1, "One rank computes all shards.")
      target = own[0].values
    } else {
      target = take()
      defer { free += own.map(\.values) }
      try exchange(own, into: target)
    }
    result = target
    return UnsafeMutableBufferPointer(start: target, count: count)
  }

  /// The part of the gradient that a rank adds up.
  private func slice(of rank: Int) -> Range<Int> {
    rank * count / group.count..<(rank + 1) * count / group.count
  }

  private func exchange(
    _ own: [(range: Range<Int>, values: UnsafeMutablePointer<Float>)],
    into target: UnsafeMutablePointer<Float>
  ) throws {
    guard let transport = group.transport else { return }
    let slice = slice(of: group.rank)
    let pieces = group.pieces(of: slice)
    var parts = incomingParts(slice)
    // By piece of the slice.
    var arriving = [[Waiting]](repeating: [], count: pieces.count)
    for index in parts.indices where parts[index].rank != group.rank {
      for (number, piece) in pieces.enumerated() {
        arriving[number].append(
          (
            try transport.receive(
              into: bytes(parts[index].values, piece, from: slice.lowerBound),
              from: parts[index].rank,
              tag: .gradientPart), parts[index].rank
          ))
      }
    }
    for (index, sum) in own.enumerated() {
      guard let place = parts.firstIndex(where: { $0.range == own[index].range }) else { continue }
      parts[place].values = sum.values + slice.lowerBound
    }
    var rest: [Waiting] = []
    try receiveSums(transport, into: target, &rest)
    for other in 0..<group.count where other != group.rank {
      for sum in own {
        for piece in group.pieces(of: self.slice(of: other)) {
          let content = UnsafeRawBufferPointer(bytes(sum.values, piece, from: 0))
          rest.append((try transport.send(content, to: other, tag: .gradientPart), other))
        }
      }
    }
    for (number, piece) in pieces.enumerated() {
      try group.wait(for: arriving[number])
      add(parts, piece, from: slice.lowerBound, into: target)
      for other in 0..<group.count where other != group.rank {
        let content = UnsafeRawBufferPointer(bytes(target, piece, from: 0))
        rest.append((try transport.send(content, to: other, tag: .gradientSum), other))
      }
    }
    try group.wait(for: rest)
  }

  private struct Part {
    let rank: Int
    let range: Range<Int>
    /// Of the slice.
    var values: UnsafeMutablePointer<Float>
  }

  /// The partial sums of all ranks in order; those of others have memory to arrive in.
  private func incomingParts(_ slice: Range<Int>) -> [Part] {
    let ranges = (0..<group.count).flatMap { rank in
      tree.sums(of: tree.shards(of: rank, of: group.count)).map { (rank, $0) }
    }
    let memory =
      incoming ?? UnsafeMutablePointer<Float>.allocate(capacity: max(ranges.count * slice.count, 1))
    incoming = memory
    return ranges.enumerated().map { place, part in
      Part(rank: part.0, range: part.1, values: memory + place * slice.count)
    }
  }

  private func receiveSums(
    _ transport: any RankTransport, into target: UnsafeMutablePointer<Float>,
    _ rest: inout [Waiting]
  ) throws {
    for other in 0..<group.count where other != group.rank {
      for piece in group.pieces(of: slice(of: other)) {
        rest.append(
          (
            try transport.receive(
              into: bytes(target, piece, from: 0), from: other, tag: .gradientSum),
            other
          ))
      }
    }
  }

  private func add(
    _ parts: [Part], _ piece: Range<Int>, from start: Int, into target: UnsafeMutablePointer<Float>
  ) {
    var sums = ShardSums(tree, count: piece.count)
    for part in parts { _ = sums.push(part.range, part.values + (piece.lowerBound - start)) }
    precondition(sums.stack.count == 1, "The parts of all ranks are the whole batch.")
    (target + piece.lowerBound).update(from: sums.stack[0].values, count: piece.count)
  }

  private func bytes(
    _ values: UnsafeMutablePointer<Float>, _ piece: Range<Int>, from start: Int
  ) -> UnsafeMutableRawBufferPointer {
    UnsafeMutableRawBufferPointer(
      UnsafeMutableBufferPointer(
        start: values + (piece.lowerBound - start), count: piece.count))
  }
}
