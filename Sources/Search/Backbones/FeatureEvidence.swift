// SPDX-License-Identifier: Apache-2.0

import Glibc
import ThawTensors

/// LogME: how probable labels are under a linear model of features, without training one.
///
/// Each class's labels (1 or 0) are regressed on the features by a Bayesian ridge whose two precisions are chosen by
/// its own evidence; the score is the mean log evidence a photo, over the classes. Higher is better; scores of
/// features of different widths may be compared.
///
/// - Source: You et al. 2021, "LogME: Practical Assessment of Pre-trained Models for Transfer Learning",
///   arXiv:2102.11005, algorithm 3.
package enum FeatureEvidence {
  /// The score of features [n][d] for labels of `0..<classes`; n of a few hundred, because the time grows with
  /// its cube. Nil for features that are not finite.
  package static func logME(_ features: [[Double]], labels: [Int], classes: Int) -> Double? {
    let count = features.count
    let gram = features.flatMap { row in
      features.map { other in zip(row, other).reduce(0) { $0 + $1.0 * $1.1 } }
    }
    guard let (values, vectors) = LinearAlgebra.symmetricEigen(gram, size: count) else {
      return nil
    }
    let width = features.first?.count ?? 0
    let kept = values.indices.filter { values[$0] > 1e-10 * (values.first ?? 0) }
    let squares = kept.map { values[$0] }
    let scores = (0..<classes).map { index -> Double in
      let target = labels.map { $0 == index ? 1.0 : 0.0 }
      let projected = kept.map { column in
        let sum = (0..<count).reduce(0) { $0 + vectors[column * count + $1] * target[$1] }
        return sum * sum
      }
      let outside = max(target.reduce(0) { $0 + $1 * $1 } - projected.reduce(0, +), 0)
      return evidence(squares, projected, outside, count: Double(count), width: Double(width))
    }
    return scores.reduce(0, +) / Double(max(classes, 1))
  }

  /// - Parameters:
  ///   - squares: the features' squared singular values, above 0.
  ///   - projected: the target's squared coordinates along them.
  ///   - outside: the square of what of the target lies along none.
  private static func evidence(
    _ squares: [Double], _ projected: [Double], _ outside: Double, count: Double, width: Double
  ) -> Double {
    var (alpha, beta) = (1.0, 1.0)
    func sums() -> (weights: Double, residual: Double) {
      let ratio = alpha / beta
      var (weights, residual) = (0.0, outside)
      for (square, part) in zip(squares, projected) {
        weights += square * part / ((ratio + square) * (ratio + square))
        let shrunk = ratio / (ratio + square)
        residual += part * shrunk * shrunk
      }
      return (weights, residual)
    }
    for _ in 0..<50 {
      let ratio = alpha / beta
      let (weights, residual) = sums()
      let used = squares.reduce(0) { $0 + $1 / ($1 + ratio) }
      alpha = used / (weights + 1e-10)
      beta = max(count - used, 1e-6) / (residual + 1e-10)
      if abs(alpha / beta - ratio) <= 1e-3 * ratio { break }
    }
    let (weights, residual) = sums()
    let determinant =
      squares.reduce(0) { $0 + log(alpha + beta * $1) }
      + (width - Double(squares.count)) * log(alpha)
    let total =
      width / 2 * log(alpha) + count / 2 * log(beta) - determinant / 2 - beta / 2 * residual
      - alpha / 2 * weights - count / 2 * log(2 * Double.pi)
    return total / count
  }
}
