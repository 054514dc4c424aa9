// SPDX-License-Identifier: Apache-2.0

import ThawAnswers

/// Where the heat of one photo's map is: what speaks for the class alone, adding up to 1.
struct HeatShares {
  static let side = 48
  /// [side, side]; empty for a map without heat.
  let values: [Double]
  private let parts = PhotoParts(side: HeatShares.side)

  init(_ map: HeatMap) {
    let large = map.positive.resized(height: Self.side, width: Self.side).values.map(Double.init)
    let sum = large.reduce(0, +)
    values = sum > 0 ? large.map { $0 / sum } : []
  }

  private func share(_ test: (Int, Int) -> Bool) -> Double {
    values.indices.reduce(0) {
      $0 + (test($1 / Self.side, $1 % Self.side) ? values[$1] : 0)
    }
  }

  var border: Double { share { !parts.isInner($0, $1) } }
  var corners: Double { share { parts.isCorner($0, $1) } }

  /// Of each of the nine places.
  var ninths: [Double] {
    var result = [Double](repeating: 0, count: 9)
    for index in values.indices {
      result[parts.ninth(index / Self.side, index % Self.side)] += values[index]
    }
    return result
  }

  /// The share outside of places that are usual.
  func outside(_ usual: [Bool]) -> Double {
    values.indices.reduce(0) { $0 + (usual[$1] ? 0 : values[$1]) }
  }

  /// The hottest places that together have four fifths of the heat of maps; all without maps.
  static func usual(_ maps: [HeatShares]) -> [Bool] {
    var sum = [Double](repeating: 0, count: side * side)
    for map in maps { for index in map.values.indices { sum[index] += map.values[index] } }
    let total = sum.reduce(0, +)
    guard total > 0 else { return [Bool](repeating: true, count: side * side) }
    var usual = [Bool](repeating: false, count: side * side)
    var reached = 0.0
    for index in sum.indices.sorted(by: { (sum[$1], $0) < (sum[$0], $1) }) {
      guard reached < 0.8 * total else { break }
      usual[index] = true
      reached += sum[index]
    }
    return usual
  }
}
