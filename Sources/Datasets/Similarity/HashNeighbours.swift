// SPDX-License-Identifier: Apache-2.0

import CThawKernels

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

  private let count: Int

  package init(_ hashes: [UInt64]) {
    pieces = (0..<4).map { Piece($0, of: hashes) }
    count = hashes.count
  }

  /// All numbers of 16 bits with at most three set, those with fewest first.
  private static let masks: [UInt16] = (0...3).flatMap { bits in
    (0...UInt16.max).filter { $0.nonzeroBitCount == bits }
  }

  /// Calls `found` for hashes at most `distance` bits from `hash` that stand behind `index`, some of
  /// them several times.
  package func forEach(
    near hash: UInt64, behind index: Int, distance: Int, _ found: (Int) -> Void
  ) {
    precondition(distance <= 15, "Four pieces find at most 15 different bits, not \(distance).")
    let count = [1, 17, 137, 697][distance / 4]
    withUnsafeTemporaryAllocation(of: Int32.self, capacity: self.count) { places in
      guard let first = places.baseAddress else { return }
      for (number, piece) in pieces.enumerated() {
        let hits = piece.withTables { tables in
          withUnsafePointer(to: tables) {
            thaw_near_hashes(
              $0, hash, Piece.value(hash, number), HashNeighbours.masks, count, Int32(distance),
              Int32(index), Int32(HashNeighbours.limit), first)
          }
        }
        for place in places[..<hits] { found(Int(place)) }
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
      for hash in hashes { next[Int(Piece.value(hash, number))] += 1 }
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
        let value = Int(Piece.value(hash, number))
        self.hashes[Int(next[value])] = hash
        indices[Int(next[value])] = Int32(index)
        next[value] += 1
      }
    }

    static func value(_ hash: UInt64, _ number: Int) -> UInt16 {
      UInt16(truncatingIfNeeded: hash >> UInt64(16 * number))
    }

    func withTables<Result>(_ body: (thaw_hash_piece) -> Result) -> Result {
      taken.withUnsafeBufferPointer { taken in
        before.withUnsafeBufferPointer { before in
          starts.withUnsafeBufferPointer { starts in
            hashes.withUnsafeBufferPointer { hashes in
              indices.withUnsafeBufferPointer { indices in
                body(
                  thaw_hash_piece(
                    taken: taken.baseAddress, before: before.baseAddress,
                    starts: starts.baseAddress, hashes: hashes.baseAddress,
                    indices: indices.baseAddress))
              }
            }
          }
        }
      }
    }
  }
}
