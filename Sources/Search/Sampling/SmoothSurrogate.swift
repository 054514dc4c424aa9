// SPDX-License-Identifier: Apache-2.0

import Glibc

/// What trials nearby say of a point that nobody has tried: a Gaussian process over ranks.
///
/// The results themselves do not matter, only their order: the trials get the normal scores of their
/// ranks, so that a diverged trial or a loss of 1e6 bends nothing. Distances along a number are squared
/// differences of units, along a choice 0 or 1, along what does not matter in one of two trials 0 (the choice
/// that switches it off tells them apart). How far each parameter carries is found by the likelihood.
///
/// - Source: Rasmussen and Williams 2006, Gaussian Processes for Machine Learning, algorithm 2.1; normal scores
///   as in Salinas et al. 2020, arXiv:1909.13595.
struct SmoothSurrogate {
  private let points: [[Double?]]
  private let isChoice: [Bool]
  private var lengths: [Double]
  private var noise = 0.02
  private var factor: [[Double]] = []
  private var weights: [Double] = []
  private let targets: [Double]

  /// - Parameters:
  ///   - points: the best first, at least two.
  ///   - isChoice: of each parameter.
  init(_ points: [[Double?]], isChoice: [Bool]) {
    self.points = points
    self.isChoice = isChoice
    let count = Double(points.count)
    targets = points.indices.map { SmoothSurrogate.normalQuantile((Double($0) + 0.5) / count) }
    lengths = [Double](repeating: 0.5, count: isChoice.count)
    fit()
  }

  /// How much better than the best trial the point is expected to be, in normal scores.
  func expectedImprovement(at point: [Double?]) -> Double {
    let covariances = points.map { kernel($0, point) }
    let mean = zip(covariances, weights).reduce(0) { $0 + $1.0 * $1.1 }
    let solved = SmoothSurrogate.forward(factor, covariances)
    let variance = max(1 - solved.reduce(0) { $0 + $1 * $1 }, 1e-12)
    let deviation = variance.squareRoot()
    let gap = (targets[0] - mean) / deviation
    let density = exp(-gap * gap / 2) / (2 * Double.pi).squareRoot()
    return deviation * (gap * 0.5 * erfc(-gap / 2.squareRoot()) + density)
  }

  /// Goes through the parameters twice and keeps the length of the highest likelihood for each.
  private mutating func fit() {
    var best = -Double.infinity
    func tried(_ change: (inout SmoothSurrogate) -> Void) -> SmoothSurrogate {
      var copy = self
      change(&copy)
      copy.solve()
      return copy
    }
    for _ in 0..<2 {
      for index in lengths.indices {
        for length in [0.1, 0.2, 0.4, 0.8, 1.6, 6] {
          let trial = tried { $0.lengths[index] = length }
          if trial.likelihood > best { (best, self) = (trial.likelihood, trial) }
        }
      }
      for level in [1e-3, 1e-2, 0.1, 0.4] {
        let trial = tried { $0.noise = level }
        if trial.likelihood > best { (best, self) = (trial.likelihood, trial) }
      }
    }
  }

  private var likelihood: Double {
    guard !factor.isEmpty else { return -.infinity }
    let fit = zip(targets, weights).reduce(0) { $0 + $1.0 * $1.1 }
    return -fit / 2 - factor.indices.reduce(0) { $0 + log(factor[$1][$1]) }
  }

  private mutating func solve() {
    let count = points.count
    var matrix = (0..<count).map { row in (0...row).map { kernel(points[row], points[$0]) } }
    for row in 0..<count { matrix[row][row] += noise }
    for row in 0..<count {
      for column in 0...row {
        var sum = matrix[row][column]
        for index in 0..<column { sum -= matrix[row][index] * matrix[column][index] }
        if row == column {
          guard sum > 1e-12 else { return factor = [] }
          matrix[row][row] = sum.squareRoot()
        } else {
          matrix[row][column] = sum / matrix[column][column]
        }
      }
    }
    factor = matrix
    weights = SmoothSurrogate.backward(factor, SmoothSurrogate.forward(factor, targets))
  }

  /// Matern's kernel of order 5/2.
  private func kernel(_ first: [Double?], _ second: [Double?]) -> Double {
    var square = 0.0
    for index in lengths.indices {
      guard let a = first[index], let b = second[index] else { continue }
      let gap = isChoice[index] ? (abs(a - b) < 1e-9 ? 0 : 1) : a - b
      square += gap * gap / (lengths[index] * lengths[index])
    }
    let distance = (5 * square).squareRoot()
    return (1 + distance + distance * distance / 3) * exp(-distance)
  }

  private static func forward(_ factor: [[Double]], _ values: [Double]) -> [Double] {
    var result = values
    for row in result.indices {
      for index in 0..<row { result[row] -= factor[row][index] * result[index] }
      result[row] /= factor[row][row]
    }
    return result
  }

  private static func backward(_ factor: [[Double]], _ values: [Double]) -> [Double] {
    var result = values
    for row in result.indices.reversed() {
      for index in (row + 1)..<result.count { result[row] -= factor[index][row] * result[index] }
      result[row] /= factor[row][row]
    }
    return result
  }

  /// The normal distribution's quantile at `share`, by halving: exact to 1e-12.
  private static func normalQuantile(_ share: Double) -> Double {
    var (low, high) = (-9.0, 9.0)
    while high - low > 1e-12 {
      let middle = (low + high) / 2
      if 0.5 * erfc(-middle / 2.squareRoot()) < share { low = middle } else { high = middle }
    }
    return (low + high) / 2
  }
}
