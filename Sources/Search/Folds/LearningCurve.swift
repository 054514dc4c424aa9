// SPDX-License-Identifier: Apache-2.0

import Glibc
import ThawTensors

/// How the share of right answers grows with the photos to learn from, and what twice as many would bring.
///
/// The error is taken to fall as a + b n^-c with a, b at least 0 and c of 0.1...1: a power of the number of
/// photos down to what no number of photos cures. Intervals are those of 400 resamples of the photos (those
/// that show one picture together), each with its own curve, 2.5 % cut off on either side.
///
/// - Source: Hestness et al. 2017, arXiv:1712.00409 (power laws of learning curves); Efron and Tibshirani 1993
///   (percentile bootstrap).
package struct LearningCurve: Sendable {
  /// Photos that heads were trained on, on average, ascending; at least two.
  package let sizes: [Double]
  /// For each size which photos were answered rightly.
  package let correct: [[Bool]]
  /// Photos that show one picture.
  package let groups: [[Int]]
  /// Keys the resamples.
  package let seed: UInt64

  /// A curve of measurements.
  package init(sizes: [Double], correct: [[Bool]], groups: [[Int]], seed: UInt64) {
    self.sizes = sizes
    self.correct = correct
    self.groups = groups
    self.seed = seed
  }

  /// An estimate with its interval.
  package struct Estimate: Sendable, Equatable {
    /// Itself.
    package let value: Double
    /// 97.5 % of the resamples lie above: with ``upper`` it encloses 95 % of them.
    package let lower: Double
    /// 97.5 % of the resamples lie below.
    package let upper: Double
  }

  /// Pictures below which nothing is said of how they will be answered: one more or less that is right moves
  /// the whole curve.
  package static let fewestPictures = 20

  /// The accuracy with twice as many photos as the last size, and how much that is more; nil for fewer than
  /// three sizes or ``fewestPictures``.
  ///
  /// - Parameter photos: the only ones that are judged; nil for all.
  package func doubled(
    of photos: Set<Int>? = nil
  ) -> (accuracy: Estimate, gain: Estimate)? {
    let own = groups.map { group in photos.map { set in group.filter(set.contains) } ?? group }
      .filter { !$0.isEmpty }
    guard sizes.count >= 3, own.count >= LearningCurve.fewestPictures else { return nil }
    // Right answers of each picture at each size, and its photos: all that a resample needs.
    let counts = own.map { group in correct.map { right in group.count { right[$0] } } }
    let weights = own.map(\.count)
    func prediction(_ pictures: [Int]) -> (Double, Double) {
      let total = Double(pictures.reduce(0) { $0 + weights[$1] })
      let errors = sizes.indices.map { size in
        1 - Double(pictures.reduce(0) { $0 + counts[$1][size] }) / total
      }
      let error = LearningCurve.extrapolate(sizes, errors, to: 2 * sizes[sizes.count - 1])
      return (1 - error, errors[errors.count - 1] - error)
    }
    let whole = prediction(Array(own.indices))
    var stream = RandomStream(seed: seed, purpose: .resampling, epoch: 6)
    let resampled = (0..<400).map { _ in
      prediction(own.indices.map { _ in stream.index(below: own.count) })
    }
    return (
      LearningCurve.estimate(whole.0, resampled.map(\.0)),
      LearningCurve.estimate(whole.1, resampled.map(\.1))
    )
  }

  private static func estimate(_ value: Double, _ resampled: [Double]) -> Estimate {
    let sorted = resampled.sorted()
    // Of 400 the ten smallest and the ten largest are outside.
    let edge = sorted.count / 40
    return Estimate(
      value: value, lower: min(sorted[edge], value),
      upper: max(sorted[sorted.count - 1 - edge], value))
  }

  /// The error at `size` of the curve that fits best, by least squares; never more than the last error.
  package static func extrapolate(_ sizes: [Double], _ errors: [Double], to size: Double) -> Double
  {
    var best = (square: Double.infinity, value: errors[errors.count - 1])
    for step in 1...19 {
      let power = 0.05 + 0.05 * Double(step)
      let terms = sizes.map { pow($0 / sizes[0], -power) }
      let (floor, slope) = line(terms, errors)
      let square = zip(terms, errors).reduce(0) { sum, point in
        let miss = floor + slope * point.0 - point.1
        return sum + miss * miss
      }
      if square < best.square - 1e-15 {
        best = (square, floor + slope * pow(size / sizes[0], -power))
      }
    }
    return min(max(best.value, 0), errors[errors.count - 1])
  }

  /// Floor and slope, both at least 0, of the line through the points.
  private static func line(_ x: [Double], _ y: [Double]) -> (floor: Double, slope: Double) {
    let count = Double(x.count)
    let (meanX, meanY) = (x.reduce(0, +) / count, y.reduce(0, +) / count)
    let spread = x.reduce(0) { $0 + ($1 - meanX) * ($1 - meanX) }
    let slope = zip(x, y).reduce(0) { $0 + ($1.0 - meanX) * ($1.1 - meanY) } / max(spread, 1e-300)
    if slope <= 0 { return (meanY, 0) }
    let floor = meanY - slope * meanX
    if floor >= 0 { return (floor, slope) }
    let through = zip(x, y).reduce(0) { $0 + $1.0 * $1.1 } / x.reduce(0) { $0 + $1 * $1 }
    return (0, max(through, 0))
  }
}
