// SPDX-License-Identifier: Apache-2.0

import Glibc

/// What a stream of random numbers is for, so that no two uses ever share one.
package enum RandomPurpose: UInt32, Sendable {
  /// Starting values of new layers.
  case initialization = 1
  /// The order of samples in an epoch.
  case shuffle = 2
  /// Augmentation of one sample.
  case augmentation = 3
  /// Dropout masks.
  case dropout = 4
  /// The order of records in a split.
  case split = 5
  /// Procedural parameters of test networks.
  case procedural = 6
  /// Mixing of samples within a batch (mixup, cutmix).
  case mixing = 7
  /// Resamples and permutations of statistical tests.
  case resampling = 8
}

/// Random numbers as a pure function of (seed, purpose, epoch, sample) and a counter.
///
/// Because nothing is shared, the numbers of a sample do not depend on which thread asks first, on
/// the batch it falls into or on a run having been interrupted.
///
/// - Source: Philox-4x32-10, Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3".
package struct RandomStream: RandomNumberGenerator, Sendable {
  private let key: (UInt32, UInt32)
  private let domain: (UInt32, UInt32)
  private var block: UInt64 = 0
  private var buffered: (UInt64, UInt64) = (0, 0)
  private var remaining = 0

  /// The stream of one purpose.
  ///
  /// - Parameters:
  ///   - seed: the run's seed.
  ///   - epoch: 0-based; use 0 where epochs have no meaning. Only the low 24 bits count.
  ///   - sample: the sample's index in the manifest, or another stable number below 2^32.
  package init(seed: UInt64, purpose: RandomPurpose, epoch: Int = 0, sample: Int = 0) {
    key = (UInt32(truncatingIfNeeded: seed), UInt32(truncatingIfNeeded: seed >> 32))
    let phase = UInt32(truncatingIfNeeded: epoch) & 0x00FF_FFFF
    domain = (purpose.rawValue << 24 | phase, UInt32(truncatingIfNeeded: sample))
  }

  /// The next 64 random bits.
  package mutating func next() -> UInt64 {
    if remaining == 0 {
      buffered = RandomStream.philox(
        counter: (
          UInt32(truncatingIfNeeded: block), UInt32(truncatingIfNeeded: block >> 32), domain.0,
          domain.1
        ), key: key)
      block &+= 1
      remaining = 2
    }
    remaining -= 1
    return remaining == 1 ? buffered.0 : buffered.1
  }

  /// A number in [0, 1), in steps of 2^-24: every value is exact in Float.
  package mutating func uniform() -> Float { Float(next() >> 40) * 0x1p-24 }

  /// A number in `[range.lowerBound, range.upperBound)`; the lower bound when the range is empty.
  package mutating func uniform(in range: ClosedRange<Double>) -> Double {
    let unit = Double(next() >> 11) * 0x1p-53
    let number = range.lowerBound + (range.upperBound - range.lowerBound) * unit
    // Rounding can reach the upper bound though the unit never reaches 1.
    return number < range.upperBound
      ? number : max(range.lowerBound, range.upperBound.nextDown)
  }

  /// A whole number in `0..<bound`, one draw each (multiply and shift; the bias is below
  /// `bound` / 2^64).
  package mutating func index(below bound: Int) -> Int {
    precondition(bound > 0, "A random index needs a bound of at least 1, got \(bound).")
    return Int(UInt64(bound).multipliedFullWidth(by: next()).high)
  }

  /// A random order of `0..<count` (Fisher and Yates).
  package mutating func permutation(of count: Int) -> [Int] {
    var order = Array(0..<count)
    for last in stride(from: count - 1, to: 0, by: -1) {
      order.swapAt(last, index(below: last + 1))
    }
    return order
  }

  /// One block of Philox-4x32-10 as two 64-bit words (first word low).
  package static func philox(
    counter: (UInt32, UInt32, UInt32, UInt32), key: (UInt32, UInt32)
  ) -> (UInt64, UInt64) {
    var (c0, c1, c2, c3) = counter
    var (k0, k1) = key
    for _ in 0..<10 {
      let low = UInt64(0xD251_1F53) * UInt64(c0)
      let high = UInt64(0xCD9E_8D57) * UInt64(c2)
      let next0 = UInt32(truncatingIfNeeded: high >> 32) ^ c1 ^ k0
      let next2 = UInt32(truncatingIfNeeded: low >> 32) ^ c3 ^ k1
      (c0, c1) = (next0, UInt32(truncatingIfNeeded: high))
      (c2, c3) = (next2, UInt32(truncatingIfNeeded: low))
      k0 = k0 &+ 0x9E37_79B9
      k1 = k1 &+ 0xBB67_AE85
    }
    return (UInt64(c0) | UInt64(c1) << 32, UInt64(c2) | UInt64(c3) << 32)
  }
}

extension RandomStream {
  /// A sample of the standard normal distribution (Box and Muller 1958).
  package mutating func normal() -> Double {
    let radius = max(uniform(in: 0...1), 0x1p-53)
    let angle = 2 * Double.pi * uniform(in: 0...1)
    return (-2 * log(radius)).squareRoot() * cos(angle)
  }
}
