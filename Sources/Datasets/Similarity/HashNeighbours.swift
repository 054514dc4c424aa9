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

  private let hashes: [UInt64]
  /// For each piece the indices of the hashes, ordered by the piece's value.
  private var order: [[Int32]] = []
  /// For each piece where its values begin in `order`.
  private var starts: [[Int32]] = []

  package init(_ hashes: [UInt64]) {
    self.hashes = hashes
    for piece in 0..<4 {
      var counts = [Int32](repeating: 0, count: 65537)
      for hash in hashes { counts[HashNeighbours.piece(hash, piece) + 1] += 1 }
      for value in 0..<65536 { counts[value + 1] += counts[value] }
      var next = counts
      var sorted = [Int32](repeating: 0, count: hashes.count)
      for (index, hash) in hashes.enumerated() {
        let value = HashNeighbours.piece(hash, piece)
        sorted[Int(next[value])] = Int32(index)
        next[value] += 1
      }
      order.append(sorted)
      starts.append(counts)
    }
  }

  private static func piece(_ hash: UInt64, _ number: Int) -> Int {
    Int(truncatingIfNeeded: hash >> UInt64(16 * number) & 0xFFFF)
  }

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
    let masks = HashNeighbours.masks.prefix([1, 17, 137, 697][distance / 4])
    hashes.withUnsafeBufferPointer { hashes in
      for number in 0..<4 {
        let own = HashNeighbours.piece(hash, number)
        order[number].withUnsafeBufferPointer { order in
          starts[number].withUnsafeBufferPointer { starts in
            for mask in masks {
              let place = own ^ mask
              let (first, end) = (Int(starts[place]), Int(starts[place + 1]))
              for at in first..<min(end, first + HashNeighbours.limit) {
                let other = Int(order[at])
                if other > index, (hashes[other] ^ hash).nonzeroBitCount <= distance {
                  found(other)
                }
              }
            }
          }
        }
      }
    }
  }
}
