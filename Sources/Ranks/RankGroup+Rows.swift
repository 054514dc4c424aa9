// SPDX-License-Identifier: Apache-2.0

extension RankGroup {
  /// Rows of numbers that the ranks of a job compute between them, each by one, and all get; this process alone
  /// computes all outside of a job.
  ///
  /// A row must not depend on who computes it, and all ranks must come here with the same rows to compute.
  ///
  /// - Parameter compute: called with a row's index and its place.
  /// - Returns: [rows, width].
  /// - Throws: what `compute` throws; ``RankError``.
  package func rows<Number: BitwiseCopyable & Numeric>(
    _ count: Int, width: Int,
    _ compute: (Int, UnsafeMutableBufferPointer<Number>) throws -> Void
  ) throws -> [Number] {
    var numbers = [Number](repeating: 0, count: count * width)
    guard isInJob else {
      try numbers.withUnsafeMutableBufferPointer { numbers in
        for row in 0..<count { try compute(row, numbers.row(row, width)) }
      }
      return numbers
    }
    // Neighbours are often of the same size: dealt out like cards, and kept by rank for the messages.
    let order = (0..<self.count).map { rank in (0..<count).filter { $0 % self.count == rank } }
    var ranges: [Range<Int>] = []
    for rows in order {
      let start = ranges.last?.upperBound ?? 0
      ranges.append(start..<start + rows.count * width)
    }
    var dealt = numbers
    try dealt.withUnsafeMutableBufferPointer { dealt in
      for (position, row) in order[rank].enumerated() {
        try compute(row, dealt.row(ranges[rank].lowerBound / max(width, 1) + position, width))
      }
      try requireSameWork([count, width])
      try share(dealt, ranges: ranges)
    }
    for (place, row) in order.joined().enumerated() {
      numbers.replaceSubrange(
        row * width..<(row + 1) * width, with: dealt[place * width..<(place + 1) * width])
    }
    return numbers
  }

  /// Ranks that came to different conclusions on the way would give each other the wrong numbers.
  private func requireSameWork(_ own: [Int]) throws {
    let all = try gather(own)
    guard let other = all.firstIndex(where: { $0 != all[0] }) else { return }
    throw RankError.disagreement(
      "\(name(of: other)): has come to other work (\(all[other])) than \(name(of: 0)) (\(all[0])). The"
        + " machines compute differently: use hosts with the same kind of processor.")
  }
}

extension UnsafeMutableBufferPointer {
  fileprivate func row(_ index: Int, _ width: Int) -> UnsafeMutableBufferPointer {
    UnsafeMutableBufferPointer(rebasing: self[index * width..<(index + 1) * width])
  }
}
