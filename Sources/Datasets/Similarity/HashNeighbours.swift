// SPDX-License-Identifier: Apache-2.0

/// Finds hashes that differ in few bits, without comparing all with all.
///
/// A hash of 64 bits is four pieces of 16. When two differ in at most 11 bits, some piece differs in at
/// most 2, so each hash looks through the 137 places near each of its pieces. Places that very many
/// hashes share are looked through only in part: see ``limit``.
///
/// - Source: Norouzi, Punjani and Fleet 2012, "Fast Search in Hamming Space with Multi-Index Hashing".
package struct HashNeighbours {
  /// Hashes of one place that are looked at. More only come together where photos hardly differ; those
  /// are found through their other pieces or through each other.
  package static let limit = 512

  private let pieces: [Piece]

  package init(_ hashes: [UInt64]) { pieces = (0..<4).map { Piece($0, of: hashes) } }

  /// All numbers of 16 bits with at most three set, those with fewest first.
  private static let masks: [Int] = (0...3).flatMap { bits in
    (0..<65536).filter { $0.nonzeroBitCount == bits }
  }

  /// Calls `found` for hashes at most `distance` bits from `hash` that stand behind `index`, some of
  /// them several times.
  package func forEach(
    near hash: UInt64, behind index: Int, distance: Int, _ found: (Int) -> Void
  ) {
    precondition(distance <= 15, "Four pieces find at most 15 different bits, not \(distance).")
    let count = [1, 17, 137, 697][distance / 4]
    HashNeighbours.masks.withUnsafeBufferPointer { masks in
      for (number, piece) in pieces.enumerated() {
        let own = Piece.value(hash, number)
        piece.withTables { tables in
          for mask in 0..<count {
            for at in tables.places(of: own ^ masks[mask])
            where (tables.hashes[at] ^ hash).nonzeroBitCount <= distance {
              let other = Int(tables.indices[at])
              if other > index { found(other) }
            }
          }
        }
      }
    }
  }

  /// One piece of every hash, ordered by its value.
  ///
  /// Most of what is looked up is not there. So that it is known from the nearest cache, there is one bit for
  /// each value, and only values that are there have a place of their own.
  private struct Piece {
    /// A bit for each value that some hash has.
    private var taken = [UInt64](repeating: 0, count: 1024)
    /// For each 64 values how many values below them some hash has.
    private var before = [Int32](repeating: 0, count: 1024)
    /// Of each value that some hash has where its hashes begin, and where the last ones end.
    private var starts: [Int32] = []
    private var hashes: [UInt64]
    /// Where the hashes stood.
    private var indices: [Int32]

    init(_ number: Int, of hashes: [UInt64]) {
      var next = [Int32](repeating: 0, count: 65536)
      for hash in hashes { next[Piece.value(hash, number)] += 1 }
      var total: Int32 = 0
      for value in next.indices {
        if value % 64 == 0 { before[value / 64] = Int32(starts.count) }
        guard next[value] > 0 else { continue }
        taken[value / 64] |= 1 << UInt64(value % 64)
        starts.append(total)
        (next[value], total) = (total, total + next[value])
      }
      starts.append(total)
      self.hashes = hashes
      indices = [Int32](repeating: 0, count: hashes.count)
      for (index, hash) in hashes.enumerated() {
        let value = Piece.value(hash, number)
        self.hashes[Int(next[value])] = hash
        indices[Int(next[value])] = Int32(index)
        next[value] += 1
      }
    }

    static func value(_ hash: UInt64, _ number: Int) -> Int {
      Int(truncatingIfNeeded: hash >> UInt64(16 * number) & 0xFFFF)
    }

    func withTables(_ body: (Tables) -> Void) {
      taken.withUnsafeBufferPointer { taken in
        before.withUnsafeBufferPointer { before in
          starts.withUnsafeBufferPointer { starts in
            hashes.withUnsafeBufferPointer { hashes in
              indices.withUnsafeBufferPointer { indices in
                body(
                  Tables(
                    taken: taken, before: before, starts: starts, hashes: hashes, indices: indices))
              }
            }
          }
        }
      }
    }
  }

  /// A piece without counting of references.
  private struct Tables {
    let taken: UnsafeBufferPointer<UInt64>
    let before, starts: UnsafeBufferPointer<Int32>
    let hashes: UnsafeBufferPointer<UInt64>
    let indices: UnsafeBufferPointer<Int32>

    /// Where the hashes with a value of the piece stand, the first of them.
    @inline(__always)
    func places(of value: Int) -> Range<Int> {
      let (word, bit) = (taken[value &>> 6], UInt64(truncatingIfNeeded: value & 63))
      guard word &>> bit & 1 != 0 else { return 0..<0 }
      let below = (word & ((1 &<< bit) &- 1)).nonzeroBitCount
      let place = Int(before[value &>> 6]) &+ below
      let (first, end) = (Int(starts[place]), Int(starts[place &+ 1]))
      return first..<min(end, first &+ HashNeighbours.limit)
    }
  }
}
