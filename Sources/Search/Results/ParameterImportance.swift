// SPDX-License-Identifier: Apache-2.0

import ThawTensors

/// How much of the differences between trials each parameter explains by itself.
///
/// A small forest of regression trees is grown on the trials' points. For each tree the variance of what it
/// predicts over the whole space is taken apart: the share of a parameter is the variance of the mean
/// prediction at each of its values, over all values of the others. Exact for a tree, because its leaves are
/// boxes. Shares do not sum to 1: the rest is how parameters work together.
///
/// - Source: Hutter, Hoos, Leyton-Brown 2014, "An efficient approach for assessing hyperparameter importance"
///   (functional ANOVA).
package enum ParameterImportance {
  /// The share of each parameter, 0...1; nil for fewer than eight trials, or when all did the same.
  ///
  /// - Parameters:
  ///   - points: of 0...1; nil, where a parameter did not matter, counts as 0.5.
  ///   - values: how each did.
  package static func shares(
    _ points: [[Double?]], _ values: [Double], trees: Int = 24, seed: UInt64
  ) -> [Double]? {
    guard points.count >= 8, let width = points.first?.count, values.allSatisfy(\.isFinite),
      (values.max() ?? 0) > (values.min() ?? 0)
    else { return nil }
    let filled = points.map { $0.map { $0 ?? 0.5 } }
    var sums = [Double](repeating: 0, count: width)
    var used = 0
    for tree in 0..<trees {
      var stream = RandomStream(seed: seed, purpose: .resampling, epoch: 5, sample: tree)
      let rows = filled.indices.map { _ in stream.index(below: filled.count) }
      var leaves: [Leaf] = []
      let whole = [ClosedRange<Double>](repeating: 0...1, count: width)
      grow(rows, whole, filled, values, &stream, into: &leaves)
      let mean = leaves.reduce(0) { $0 + $1.value * $1.volume() }
      let total = leaves.reduce(0) { $0 + ($1.value - mean) * ($1.value - mean) * $1.volume() }
      guard total > 0 else { continue }
      used += 1
      for index in 0..<width { sums[index] += marginalVariance(leaves, index, mean) / total }
    }
    return used == 0 ? nil : sums.map { min($0 / Double(used), 1) }
  }

  /// A box of the space and what the tree predicts in it.
  private struct Leaf {
    let box: [ClosedRange<Double>]
    let value: Double

    /// Share of the space; without one of its sides when `side` is given.
    func volume(without side: Int? = nil) -> Double {
      box.indices.reduce(1) { $1 == side ? $0 : $0 * box[$1].length }
    }
  }

  private static func marginalVariance(_ leaves: [Leaf], _ index: Int, _ mean: Double) -> Double {
    let edges = Set(leaves.flatMap { [$0.box[index].lowerBound, $0.box[index].upperBound] })
      .sorted()
    return zip(edges, edges.dropFirst()).reduce(0) { sum, edge in
      let middle = (edge.0 + edge.1) / 2
      let marginal = leaves.filter { $0.box[index].contains(middle) }
        .reduce(0) { $0 + $1.value * $1.volume(without: index) }
      return sum + (marginal - mean) * (marginal - mean) * (edge.1 - edge.0)
    }
  }

  private static func grow(
    _ rows: [Int], _ box: [ClosedRange<Double>], _ points: [[Double]], _ values: [Double],
    _ stream: inout RandomStream, into leaves: inout [Leaf]
  ) {
    let mean = rows.reduce(0) { $0 + values[$1] } / Double(rows.count)
    guard rows.count >= 6, let cut = bestCut(rows, points, values, &stream) else {
      return leaves.append(Leaf(box: box, value: mean))
    }
    var (low, high) = (box, box)
    low[cut.index] = box[cut.index].lowerBound...cut.place
    high[cut.index] = cut.place...box[cut.index].upperBound
    grow(
      rows.filter { points[$0][cut.index] <= cut.place }, low, points, values, &stream,
      into: &leaves)
    grow(
      rows.filter { points[$0][cut.index] > cut.place }, high, points, values, &stream,
      into: &leaves)
  }

  /// The cut along one of a random half of the parameters that leaves the least squares on both sides.
  private static func bestCut(
    _ rows: [Int], _ points: [[Double]], _ values: [Double], _ stream: inout RandomStream
  ) -> (index: Int, place: Double)? {
    let width = points[0].count
    let tried = stream.permutation(of: width).prefix(max((width + 1) / 2, 1))
    var best: (index: Int, place: Double, gain: Double)?
    let total = rows.reduce(0) { $0 + values[$1] }
    for index in tried {
      let sorted = rows.sorted { points[$0][index] < points[$1][index] }
      var sum = 0.0
      for (count, row) in sorted.enumerated().dropLast() {
        sum += values[row]
        let (here, next) = (points[row][index], points[sorted[count + 1]][index])
        guard next > here, count + 1 >= 2, sorted.count - count - 1 >= 2 else { continue }
        let (left, right) = (Double(count + 1), Double(sorted.count - count - 1))
        // Of means squared: the least squares are a constant minus this.
        let gain = sum * sum / left + (total - sum) * (total - sum) / right
        if gain > best?.gain ?? -.infinity { best = (index, (here + next) / 2, gain) }
      }
    }
    return best.map { ($0.index, $0.place) }
  }
}
