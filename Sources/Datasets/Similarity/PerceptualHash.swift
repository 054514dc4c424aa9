// SPDX-License-Identifier: Apache-2.0

import Glibc
import ThawImages

/// 63 bits that copies of a photo nearly share: which of its lowest spatial frequencies lie above the
/// median.
///
/// The discrete cosine transform of the thumbnail, its 8 x 8 lowest coefficients without the mean, each
/// compared with their median.
///
/// - Source: Zauner 2010, "Implementation and Benchmarking of Perceptual Image Hash Functions", 3.2.
struct PerceptualHash: Hashable {
  let bits: UInt64

  /// Of a thumbnail.
  init(_ levels: [Float]) { self = PerceptualHash.both(of: levels).plain }

  private init(coefficients: [Float]) {
    let median = PerceptualHash.median(of: coefficients)
    var bits: UInt64 = 0
    for (index, value) in coefficients.enumerated() where value > median {
      bits |= 1 << UInt64(index)
    }
    self.bits = bits
  }

  /// What would stand in the middle if they were sorted, which takes twice the time.
  ///
  /// - Source: Hoare 1961, Algorithm 65, "Find".
  private static func median(of values: [Float]) -> Float {
    let middle = values.count / 2
    return withUnsafeTemporaryAllocation(of: Float.self, capacity: values.count) { left in
      _ = left.initialize(from: values)
      var (low, high) = (0, values.count - 1)
      while low < high {
        let pivot = left[(low + high) / 2]
        var (rising, falling) = (low, high)
        while rising <= falling {
          while left[rising] < pivot { rising &+= 1 }
          while left[falling] > pivot { falling &-= 1 }
          guard rising <= falling else { break }
          left.swapAt(rising, falling)
          rising &+= 1
          falling &-= 1
        }
        // What lies between the two is equal to the pivot.
        if middle <= falling {
          high = falling
        } else if middle >= rising {
          low = rising
        } else {
          break
        }
      }
      return left[middle]
    }
  }

  /// The hashes of a thumbnail and of its mirror image, whose odd frequencies across have the other sign.
  static func both(of levels: [Float]) -> (plain: Self, mirrored: Self) {
    let plain = coefficients(levels)
    var mirrored = plain
    // The mean is left out, so what stands at `index` has the frequency `index + 1`, eight in a row.
    for index in stride(from: 0, to: plain.count, by: 2) { mirrored[index].negate() }
    return (Self(coefficients: plain), Self(coefficients: mirrored))
  }

  /// The 8 x 8 lowest coefficients without the mean, rows of equal vertical frequency.
  private static func coefficients(_ levels: [Float]) -> [Float] {
    let side = PhotoThumbnail.side
    return levels.withUnsafeBufferPointer { levels in
      // Along rows, all frequencies at once; then along columns.
      let rows = (0..<side).map { y in
        var sum = SIMD8<Float>.zero
        for x in 0..<side { sum += levels[y * side + x] * cosines[x] }
        return sum
      }
      var result: [Float] = []
      result.reserveCapacity(64)
      for v in 0..<8 {
        var sum = SIMD8<Float>.zero
        for y in 0..<side { sum += rows[y] * cosines[y][v] }
        for u in 0..<8 where u + v > 0 {
          result.append(sum[u] * (u == 0 || v == 0 ? 0.707_106_78 : 1))
        }
      }
      return result
    }
  }

  /// Of each place the cosines of the eight frequencies.
  private static let cosines: [SIMD8<Float>] = {
    let side = PhotoThumbnail.side
    return (0..<side).map { x in
      var values = SIMD8<Float>.zero
      for u in 0..<8 {
        values[u] = Float(cos(Double.pi * Double(u) * (Double(x) + 0.5) / Double(side)))
      }
      return values
    }
  }()
}
