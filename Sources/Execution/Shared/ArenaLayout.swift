// SPDX-License-Identifier: Apache-2.0

/// Offsets of buffers in one block of memory such that buffers in use at the same time are apart.
///
/// - Source: greedy by size, Pisarchyk and Lee 2020, arXiv:2001.03288, section 5.2.
package struct ArenaLayout {
  /// When a buffer holds something.
  package struct Lifetime {
    let buffer: Int
    let bytes: Int
    /// First to last moment, in whatever the caller counts, at which it is touched.
    let moments: ClosedRange<Int>

    /// Buffer number `buffer`.
    package init(buffer: Int, bytes: Int, moments: ClosedRange<Int>) {
      self.buffer = buffer
      self.bytes = bytes
      self.moments = moments
    }
  }

  /// Bytes from the start of the block, by buffer.
  package let offsets: [Int: Int]
  /// Size of the block.
  package let bytes: Int

  /// Places the largest buffers first, each at the lowest offset where it fits.
  package init(_ lifetimes: [Lifetime]) {
    var placed: [(lifetime: Lifetime, range: Range<Int>)] = []
    let order = lifetimes.sorted { ($1.bytes, $0.buffer) < ($0.bytes, $1.buffer) }
    for lifetime in order {
      let size = (lifetime.bytes + ArenaLayout.alignment - 1) & ~(ArenaLayout.alignment - 1)
      let occupied = placed.filter { $0.lifetime.moments.overlaps(lifetime.moments) }.map(\.range)
        .sorted { $0.lowerBound < $1.lowerBound }
      var offset = 0
      for range in occupied where offset + size > range.lowerBound {
        offset = max(offset, range.upperBound)
      }
      placed.append((lifetime, offset..<offset + size))
    }
    offsets = Dictionary(
      uniqueKeysWithValues: placed.map { ($0.lifetime.buffer, $0.range.lowerBound) })
    bytes = placed.map(\.range.upperBound).max() ?? 0
  }

  /// A cache line, and the width of the widest vector register.
  private static let alignment = 64
}
