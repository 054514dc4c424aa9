// SPDX-License-Identifier: Apache-2.0

import Glibc

/// Vectors laid out on a plane so that neighbours stay neighbours: t-SNE, begun from the two principal
/// components.
///
/// Nothing is drawn at random, and sums are taken in one order: the same vectors give the same map. Distances
/// between far groups mean little, as in every such map. Time grows with the square of their number: 600 take
/// a few seconds.
///
/// - Source: van der Maaten and Hinton 2008; initialization by principal components: Kobak and Berens 2019.
package struct PlaneMap: Sendable {
  /// A place in the unit square, y downwards.
  package struct Place: Sendable, Equatable {
    package let x: Double
    package let y: Double
  }

  /// One a vector, in their order.
  package let places: [Place]

  private static let rounds = 500
  private static let exaggerated = 125
  private static let exaggeration = 12.0

  /// Lays out vectors of one length; each counts with length 1, as in `thaw similar`.
  package init(_ vectors: [[Float]]) {
    let rows = vectors.map(PlaneMap.normalised)
    let products = PlaneMap.products(rows)
    var (x, y) = PlaneMap.components(products)
    if rows.count > 4 { PlaneMap.refine(&x, &y, PlaneMap.affinities(products)) }
    places = PlaneMap.framed(x, y)
  }

  private static func normalised(_ vector: [Float]) -> [Float] {
    let norm = vector.reduce(0.0) { $0 + Double($1) * Double($1) }.squareRoot()
    return vector.map { norm > 0 ? Float(Double($0) / norm) : 0 }
  }

  /// Of each with each, row after row.
  private static func products(_ rows: [[Float]]) -> [[Double]] {
    var result = [[Double]](repeating: [Double](repeating: 0, count: rows.count), count: rows.count)
    for one in rows.indices {
      for other in 0...one {
        var sum: Float = 0
        for index in rows[one].indices { sum += rows[one][index] * rows[other][index] }
        (result[one][other], result[other][one]) = (Double(sum), Double(sum))
      }
    }
    return result
  }

  // MARK: Principal components

  /// The first two, of a matrix of products.
  private static func components(_ products: [[Double]]) -> (x: [Double], y: [Double]) {
    let count = products.count
    guard count > 0 else { return ([], []) }
    let means = products.map { $0.reduce(0, +) / Double(count) }
    let mean = means.reduce(0, +) / Double(count)
    let centred = products.indices.map { row in
      products[row].indices.map { products[row][$0] - means[row] - means[$0] + mean }
    }
    let first = leading(centred, apartFrom: nil)
    return (first, leading(centred, apartFrom: first))
  }

  /// The leading eigenvector times the root of its value, by repeated products.
  private static func leading(_ matrix: [[Double]], apartFrom other: [Double]?) -> [Double] {
    // Begins with the row of the largest diagonal entry, which is not at right angles to it.
    let start = matrix.indices.max { matrix[$0][$0] < matrix[$1][$1] } ?? 0
    var vector = matrix[start]
    if other != nil { for index in vector.indices where index % 2 == 1 { vector[index] += 1e-3 } }
    var value = 0.0
    for _ in 0..<100 {
      if let other {
        let square = other.reduce(0) { $0 + $1 * $1 }
        let along = zip(vector, other).reduce(0) { $0 + $1.0 * $1.1 } / max(square, 1e-30)
        for index in vector.indices { vector[index] -= along * other[index] }
      }
      let norm = vector.reduce(0) { $0 + $1 * $1 }.squareRoot()
      guard norm > 1e-12 else { return [Double](repeating: 0, count: matrix.count) }
      let unit = vector.map { $0 / norm }
      vector = matrix.map { row in zip(row, unit).reduce(0) { $0 + $1.0 * $1.1 } }
      value = vector.reduce(0) { $0 + $1 * $1 }.squareRoot()
    }
    let scale = value > 0 ? value.squareRoot() / value : 0
    // Its sign is free: the largest entry is positive.
    let largest = vector.max { abs($0) < abs($1) } ?? 0
    return vector.map { $0 * scale * (largest < 0 ? -1 : 1) }
  }

  // MARK: Neighbours

  /// How much each is the other's neighbour; the sum is 1.
  private static func affinities(_ products: [[Double]]) -> [[Double]] {
    let count = products.count
    let perplexity = min(30, Double(count - 1) / 3)
    let conditional = products.indices.map { row -> [Double] in
      let distances = products.indices.map {
        max(products[row][row] + products[$0][$0] - 2 * products[row][$0], 0)
      }
      return shares(distances, of: row, entropy: log(perplexity))
    }
    return products.indices.map { row in
      products.indices.map {
        max((conditional[row][$0] + conditional[$0][row]) / Double(2 * count), 1e-12)
      }
    }
  }

  /// A Gaussian around one, as wide as gives the entropy.
  private static func shares(_ distances: [Double], of own: Int, entropy: Double) -> [Double] {
    let nearest = distances.indices.filter { $0 != own }.map { distances[$0] }.min() ?? 0
    var (precision, low, high) = (1.0, 0.0, Double.infinity)
    var result = distances
    for _ in 0..<60 {
      var (sum, moment) = (0.0, 0.0)
      for index in distances.indices {
        let distance = distances[index] - nearest
        result[index] = index == own ? 0 : exp(-precision * distance)
        sum += result[index]
        moment += result[index] * distance
      }
      let found = log(sum) + precision * moment / sum
      for index in result.indices { result[index] /= sum }
      if abs(found - entropy) < 1e-5 { break }
      if found > entropy { low = precision } else { high = precision }
      precision = high.isFinite ? (low + high) / 2 : precision * 2
    }
    return result
  }

  // MARK: Descent

  private static func refine(_ x: inout [Double], _ y: inout [Double], _ shares: [[Double]]) {
    let count = x.count
    let spread = (x.reduce(0) { $0 + $1 * $1 } / Double(count)).squareRoot()
    for index in 0..<count {
      x[index] *= spread > 0 ? 1e-4 / spread : 0
      y[index] *= spread > 0 ? 1e-4 / spread : 0
      // Copies would stay on one place for ever.
      x[index] += 1e-9 * Double(index)
    }
    let rate = max(Double(count) / exaggeration / 4, 50)
    var axes = [Axis(count), Axis(count)]
    for round in 0..<rounds {
      let factor = round < exaggerated ? exaggeration : 1
      let (slopeX, slopeY) = slopes(x, y, shares, factor)
      let momentum = round < exaggerated ? 0.5 : 0.8
      axes[0].step(&x, slopeX, rate: rate, momentum: momentum)
      axes[1].step(&y, slopeY, rate: rate, momentum: momentum)
    }
  }

  /// What the points would change by, along both axes.
  private static func slopes(
    _ x: [Double], _ y: [Double], _ shares: [[Double]], _ factor: Double
  ) -> (x: [Double], y: [Double]) {
    let count = x.count
    var total = 0.0
    var (pullX, pullY, pushX, pushY) = (
      [Double](repeating: 0, count: count), [Double](repeating: 0, count: count),
      [Double](repeating: 0, count: count), [Double](repeating: 0, count: count)
    )
    for one in 0..<count {
      let row = shares[one]
      for other in 0..<one {
        let (dx, dy) = (x[one] - x[other], y[one] - y[other])
        let near = 1 / (1 + dx * dx + dy * dy)
        let (pull, push) = (row[other] * near, near * near)
        total += 2 * near
        pullX[one] += pull * dx
        pullX[other] -= pull * dx
        pullY[one] += pull * dy
        pullY[other] -= pull * dy
        pushX[one] += push * dx
        pushX[other] -= push * dx
        pushY[one] += push * dy
        pushY[other] -= push * dy
      }
    }
    return (
      (0..<count).map { 4 * (factor * pullX[$0] - pushX[$0] / total) },
      (0..<count).map { 4 * (factor * pullY[$0] - pushY[$0] / total) }
    )
  }

  /// Momentum and gains of one coordinate.
  private struct Axis {
    var velocity: [Double]
    var gains: [Double]

    init(_ count: Int) {
      velocity = [Double](repeating: 0, count: count)
      gains = [Double](repeating: 1, count: count)
    }

    mutating func step(
      _ values: inout [Double], _ slopes: [Double], rate: Double, momentum: Double
    ) {
      for index in values.indices {
        let turns = velocity[index] * slopes[index] < 0
        gains[index] = max(turns ? gains[index] + 0.2 : gains[index] * 0.8, 0.01)
        velocity[index] = momentum * velocity[index] - rate * gains[index] * slopes[index]
        values[index] += velocity[index]
      }
    }
  }

  /// In the unit square, as large as fits, with one scale for both axes.
  private static func framed(_ x: [Double], _ y: [Double]) -> [Place] {
    guard let left = x.min(), let right = x.max(), let top = y.min(), let bottom = y.max() else {
      return []
    }
    let side = max(right - left, bottom - top)
    guard side > 0 else { return x.map { _ in Place(x: 0.5, y: 0.5) } }
    return zip(x, y).map {
      Place(
        x: 0.5 + ($0 - (left + right) / 2) / side, y: 0.5 + ($1 - (top + bottom) / 2) / side)
    }
  }
}
