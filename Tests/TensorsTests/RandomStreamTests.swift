// SPDX-License-Identifier: Apache-2.0

import Testing
import ThawTensors
import ThawTestSupport

@Suite struct RandomStreamTests {
  private func words(_ block: (UInt64, UInt64)) -> [UInt32] {
    [block.0, block.1].flatMap {
      [UInt32(truncatingIfNeeded: $0), UInt32(truncatingIfNeeded: $0 >> 32)]
    }
  }

  /// Random123's known-answer file (kat_vectors), philox4x32 with 10 rounds.
  @Test func philoxGivesTheKnownAnswers() {
    let ones = UInt32.max
    #expect(
      words(RandomStream.philox(counter: (0, 0, 0, 0), key: (0, 0)))
        == [0x6627_E8D5, 0xE169_C58D, 0xBC57_AC4C, 0x9B00_DBD8])
    #expect(
      words(RandomStream.philox(counter: (ones, ones, ones, ones), key: (ones, ones)))
        == [0x408F_276D, 0x41C8_3B0E, 0xA20B_C7C6, 0x6D54_51FD])
    #expect(
      words(
        RandomStream.philox(
          counter: (0x243F_6A88, 0x85A3_08D3, 0x1319_8A2E, 0x0370_7344),
          key: (0xA409_3822, 0x299F_31D0)))
        == [0xD16C_FE09, 0x94FD_CCEB, 0x5001_E420, 0x2412_6EA1])
  }

  @Test func aStreamIsAFunctionOfItsKey() {
    func first(_ count: Int, _ stream: RandomStream) -> [UInt64] {
      var stream = stream
      return (0..<count).map { _ in stream.next() }
    }
    let base = RandomStream(seed: 7, purpose: .shuffle, epoch: 1, sample: 2)
    #expect(
      first(9, base) == first(9, RandomStream(seed: 7, purpose: .shuffle, epoch: 1, sample: 2)))
    let others = [
      RandomStream(seed: 8, purpose: .shuffle, epoch: 1, sample: 2),
      RandomStream(seed: 7 + 1 << 32, purpose: .shuffle, epoch: 1, sample: 2),
      RandomStream(seed: 7, purpose: .split, epoch: 1, sample: 2),
      RandomStream(seed: 7, purpose: .shuffle, epoch: 2, sample: 2),
      RandomStream(seed: 7, purpose: .shuffle, epoch: 1, sample: 3),
    ]
    var seen = Set(first(64, base))
    #expect(seen.count == 64)
    for other in others { seen.formUnion(first(64, other)) }
    #expect(seen.count == 64 * 6)
  }

  @Test func uniformNumbersFillTheirRange() {
    var stream = RandomStream(seed: 1, purpose: .augmentation)
    let units = (0..<20_000).map { _ in Double(stream.uniform()) }
    #expect(units.allSatisfy { $0 >= 0 && $0 < 1 })
    #expect(abs(units.reduce(0, +) / 20_000 - 0.5) < 0.01)
    #expect(units.allSatisfy { ($0 * 0x1p24).rounded() == $0 * 0x1p24 })
    let ranged = (0..<20_000).map { _ in stream.uniform(in: -3...5) }
    #expect(ranged.allSatisfy { $0 >= -3 && $0 < 5 })
    #expect((ranged.min() ?? 0) < -2.99 && (ranged.max() ?? 0) > 4.99)
    #expect(stream.uniform(in: 4...4) == 4)
  }

  @Test func theUpperBoundIsNotReachedByRounding() {
    var stream = RandomStream(seed: 1, purpose: .augmentation)
    let numbers = (0..<100).map { _ in stream.uniform(in: 1...(1.0.nextUp)) }
    #expect(numbers.allSatisfy { $0 == 1 })
  }

  @Test func normalNumbersHaveTheirMoments() {
    var stream = RandomStream(seed: 3, purpose: .initialization)
    let numbers = (0..<40_000).map { _ in stream.normal() }
    let mean = numbers.reduce(0, +) / 40_000
    let variance = numbers.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / 40_000
    // Standard errors are 0.005 and 0.007.
    #expect(abs(mean) < 0.02)
    #expect(abs(variance - 1) < 0.03)
    #expect(numbers.allSatisfy { $0.isFinite })
  }

  @Test func indicesAreEvenlySpread() {
    var stream = RandomStream(seed: 5, purpose: .split)
    var counts = [Int](repeating: 0, count: 7)
    for _ in 0..<14_000 { counts[stream.index(below: 7)] += 1 }
    #expect(counts.allSatisfy { abs($0 - 2_000) < 200 })
    #expect(stream.index(below: 1) == 0)
  }

  @Test func aPermutationHasEveryIndexOnceInAnyOrder() {
    var stream = RandomStream(seed: 11, purpose: .shuffle)
    let order = stream.permutation(of: 500)
    #expect(order.sorted() == Array(0..<500))
    #expect(order != Array(0..<500))
    #expect(stream.permutation(of: 0).isEmpty)
    var firsts = [Int](repeating: 0, count: 6)
    for _ in 0..<6_000 {
      let three = stream.permutation(of: 3)
      firsts[three[0] * 2 + (three[1] > three[2] ? 1 : 0)] += 1
    }
    #expect(firsts.allSatisfy { abs($0 - 1_000) < 150 })
  }
}
