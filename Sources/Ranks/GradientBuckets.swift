// SPDX-License-Identifier: Apache-2.0

/// The messages of a ``GradientExchange``: the gradient in buckets of 4 MB, the last first.
struct GradientBuckets {
  private let group: RankGroup
  private let tree: ShardTree
  /// The numbers of each bucket, from the gradient's end.
  private let ranges: [Range<Int>]
  /// The partial sums of all ranks in the order in which they are added, and the depth of this rank's own.
  private let parts: [(rank: Int, range: Range<Int>, depth: Int)]
  /// What others send for this rank's slices, by part; slices of the buckets follow each other.
  private var incoming: UnsafeMutablePointer<Float>?
  /// Where each bucket's slice begins in a part of ``incoming``, and where the last one ends.
  private let sliceStarts: [Int]

  /// Whether messages of a step are under way.
  private(set) var isOpen = false
  private var target: UnsafeMutablePointer<Float>?
  /// Numbers of each bucket that own shards have still to give.
  private var missing: [Int]
  /// Buckets that were sent, and that were added up.
  private var sent = 0
  private(set) var summed = 0
  private var arriving: [[Waiting]] = []
  private var rest: [Waiting] = []

  init(_ group: RankGroup, _ tree: ShardTree, count: Int) {
    self.group = group
    self.tree = tree
    ranges = GradientExchange.buckets(of: count)
    parts = (0..<group.count).flatMap { rank in
      tree.sums(of: tree.shards(of: rank, of: group.count)).enumerated().map {
        (rank, $0.element, $0.offset)
      }
    }
    missing = ranges.map(\.count)
    let (rank, ranks) = (group.rank, group.count)
    sliceStarts = ranges.reduce(into: [0]) {
      $0.append($0[$0.count - 1] + GradientBuckets.slice($1, of: rank, ranks).count)
    }
  }

  func deallocate() { incoming?.deallocate() }

  /// The part of a bucket that a rank adds up.
  private static func slice(_ bucket: Range<Int>, of rank: Int, _ ranks: Int) -> Range<Int> {
    bucket.lowerBound + rank * bucket.count / ranks..<bucket.lowerBound
      + (rank + 1) * bucket.count / ranks
  }

  private func slice(_ bucket: Int, of rank: Int) -> Range<Int> {
    GradientBuckets.slice(ranges[bucket], of: rank, group.count)
  }

  private var others: [Int] { (0..<group.count).filter { $0 != group.rank } }

  /// Begins a step: asks for everything that others will send.
  mutating func open(into target: UnsafeMutablePointer<Float>) throws {
    guard let transport = group.transport else { return }
    let width = sliceStarts[sliceStarts.count - 1]
    let memory =
      incoming ?? UnsafeMutablePointer<Float>.allocate(capacity: max(parts.count * width, 1))
    (incoming, self.target, isOpen) = (memory, target, true)
    (sent, summed, rest) = (0, 0, [])
    missing = ranges.map(\.count)
    arriving = []
    for bucket in ranges.indices {
      var own: [Waiting] = []
      for (place, part) in parts.enumerated() where part.rank != group.rank {
        let bytes = bytes(
          memory + place * width + sliceStarts[bucket], slice(bucket, of: group.rank).count)
        own.append(
          (try transport.receive(into: bytes, from: part.rank, tag: .gradientPart), part.rank))
      }
      arriving.append(own)
      for other in others {
        let slice = slice(bucket, of: other)
        let bytes = bytes(target + slice.lowerBound, slice.count)
        rest.append((try transport.receive(into: bytes, from: other, tag: .gradientSum), other))
      }
    }
    // Without shards there is nothing to wait for here.
    if !parts.contains(where: { $0.rank == group.rank }) { missing = missing.map { _ in 0 } }
  }

  /// Numbers that all own shards have given.
  mutating func complete(_ numbers: Range<Int>) {
    for bucket in ranges.indices {
      missing[bucket] -= ranges[bucket].clamped(to: numbers).count
    }
  }

  /// Sends the partial sums of buckets that are complete, adds up those that have arrived.
  mutating func advance(_ levels: [UnsafeMutablePointer<Float>]) throws {
    guard let transport = group.transport else { return }
    try send(levels)
    while summed < sent {
      arriving[summed] = try arriving[summed].filter { try !transport.isDone($0.message) }
      guard arriving[summed].isEmpty else { return }
      try addUp(levels)
    }
    // Whatever is asked about moves all.
    guard let first = rest.first else { return }
    if try transport.isDone(first.message) { rest.removeFirst() }
  }

  private mutating func send(_ levels: [UnsafeMutablePointer<Float>]) throws {
    guard let transport = group.transport else { return }
    let own = parts.filter { $0.rank == group.rank }
    while sent < ranges.count, missing[sent] == 0 {
      for other in others {
        let slice = slice(sent, of: other)
        for part in own {
          let content = UnsafeRawBufferPointer(
            bytes(levels[part.depth] + slice.lowerBound, slice.count))
          rest.append((try transport.send(content, to: other, tag: .gradientPart), other))
        }
      }
      sent += 1
    }
  }

  /// Adds this rank's slice of the next bucket, which has arrived, and sends the sum.
  private mutating func addUp(_ levels: [UnsafeMutablePointer<Float>]) throws {
    guard let transport = group.transport, let incoming, let target else { return }
    let slice = slice(summed, of: group.rank)
    let width = sliceStarts[sliceStarts.count - 1]
    var sums = ShardSums(tree, count: slice.count)
    for (place, part) in parts.enumerated() {
      let values =
        part.rank == group.rank
        ? levels[part.depth] + slice.lowerBound
        : incoming + place * width + sliceStarts[summed]
      sums.push(part.range, values)
    }
    precondition(sums.stack.count == 1, "The parts of all ranks are the whole batch.")
    (target + slice.lowerBound).update(from: sums.stack[0].values, count: slice.count)
    for other in others {
      let content = UnsafeRawBufferPointer(bytes(target + slice.lowerBound, slice.count))
      rest.append((try transport.send(content, to: other, tag: .gradientSum), other))
    }
    summed += 1
  }

  /// Goes on until everything has arrived and everything is sent.
  mutating func finish(_ levels: [UnsafeMutablePointer<Float>]) throws {
    try send(levels)
    precondition(sent == ranges.count, "All own shards have given all of their gradients.")
    while summed < sent {
      try group.wait(for: arriving[summed])
      try addUp(levels)
    }
    try group.wait(for: rest)
    (isOpen, arriving, rest) = (false, [], [])
  }

  private func bytes(
    _ start: UnsafeMutablePointer<Float>, _ count: Int
  ) -> UnsafeMutableRawBufferPointer {
    UnsafeMutableRawBufferPointer(UnsafeMutableBufferPointer(start: start, count: count))
  }
}
