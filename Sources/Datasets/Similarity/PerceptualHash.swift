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

  init(_ levels: [Float]) {
    let side = PhotoThumbnail.side
    let kept = 8
    // Along rows, then along columns.
    var half = [Float](repeating: 0, count: side * kept)
    var coefficients: [Float] = []
    coefficients.reserveCapacity(kept * kept)
    levels.withUnsafeBufferPointer { levels in
      PerceptualHash.cosines.withUnsafeBufferPointer { cosines in
        for y in 0..<side {
          for u in 0..<kept {
            var sum: Float = 0
            for x in 0..<side { sum += levels[y * side + x] * cosines[u * side + x] }
            half[y * kept + u] = sum
          }
        }
        for v in 0..<kept {
          for u in 0..<kept where u + v > 0 {
            var sum: Float = 0
            for y in 0..<side { sum += half[y * kept + u] * cosines[v * side + y] }
            coefficients.append(sum * (u == 0 || v == 0 ? 0.707_106_78 : 1))
          }
        }
      }
    }
    let median = coefficients.sorted()[coefficients.count / 2]
    var bits: UInt64 = 0
    for (index, value) in coefficients.enumerated() where value > median {
      bits |= 1 << UInt64(index)
    }
    self.bits = bits
  }

  private static let cosines: [Float] = {
    let side = PhotoThumbnail.side
    return (0..<8).flatMap { u in
      (0..<side).map { x in
        Float(cos(Double.pi * Double(u) * (Double(x) + 0.5) / Double(side)))
      }
    }
  }()
}
