// SPDX-License-Identifier: Apache-2.0

import ThawTensors

/// A covariance matrix shrunk towards a multiple of the identity, as its largest directions and one variance
/// for all others.
///
/// (1 - a) S + a m I, S the covariance of the rows and m the mean of its diagonal. `a` is what makes the
/// expected error smallest, from the rows themselves.
///
/// - Source: Ledoit and Wolf 2004, "A well-conditioned estimator for large-dimensional covariance matrices".
struct ShrunkCovariance {
  /// [directions, features], orthogonal and of length 1.
  let directions: [Float]
  /// The variance along each, the largest first.
  let variances: [Float]
  /// Mean variance along everything else.
  let rest: Float
  /// How much of the identity is in it, 0...1.
  let shrinkage: Double

  /// - Parameter x: [rows, width], each column of mean 0; rows are at most a few hundred, for the eigenvalue
  ///   problem is that of their products when they are fewer than the features.
  /// - Returns: nil when all rows are 0 or something is not finite.
  init?(_ x: inout [Double], rows: Int, width: Int) {
    let isWide = rows < width
    let size = min(rows, width)
    var products = [Double](repeating: 0, count: size * size)
    x.withUnsafeBufferPointer { x in
      products.withUnsafeMutableBufferPointer { result in
        guard let base = x.baseAddress, let target = result.baseAddress else { return }
        LinearAlgebra.multiply(
          MatrixView(
            base, rows: size, columns: isWide ? width : rows, rowStride: width, transposed: !isWide),
          MatrixView(
            base, rows: isWide ? width : rows, columns: size, rowStride: width, transposed: isWide),
          into: target, alpha: 1 / Double(rows))
      }
    }
    guard let (values, vectors) = LinearAlgebra.symmetricEigen(products, size: size) else {
      return nil
    }
    let trace = (0..<size).reduce(0) { $0 + products[$1 * size + $1] }
    let mean = trace / Double(width)
    guard mean > 0, mean.isFinite else { return nil }
    let square = products.reduce(0) { $0 + $1 * $1 }
    let fourth = (0..<rows).reduce(0.0) { sum, row in
      let length = (0..<width).reduce(0.0) { $0 + x[row * width + $1] * x[row * width + $1] }
      return sum + length * length
    }
    // d^2 = |S - m I|^2, b^2 = the mean of |x x^T - S|^2 / n.
    let spread = square - Double(width) * mean * mean
    let noise = (fourth / Double(rows) - square) / Double(rows)
    shrinkage = spread > 0 ? min(max(noise / spread, 0), 1) : 1
    let share = shrinkage
    let kept = values.prefix(UnknownScore.mostDirections).prefix { $0 > 1e-9 * trace }
    var directions: [Float] = []
    for (index, value) in kept.enumerated() {
      let vector = vectors[(index * size)..<((index + 1) * size)]
      if isWide {
        // S u = s u for u = X^T v / sqrt(n s), of length 1.
        var long = [Double](repeating: 0, count: width)
        for (row, weight) in vector.enumerated() {
          for column in 0..<width { long[column] += weight * x[row * width + column] }
        }
        let scale = 1 / (Double(rows) * value).squareRoot()
        directions += long.map { Float($0 * scale) }
      } else {
        directions += vector.map { Float($0) }
      }
    }
    self.directions = directions
    variances = kept.map { Float((1 - share) * $0 + share * mean) }
    let others = max(trace - kept.reduce(0, +), 0) / Double(max(width - kept.count, 1))
    rest = Float(max((1 - share) * others + share * mean, 1e-12 * mean))
  }
}
