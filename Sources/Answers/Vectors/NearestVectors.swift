// SPDX-License-Identifier: Apache-2.0

import ThawTensors

/// The vectors nearest to a few, among any number that come in blocks: exact, by products of matrices.
///
/// Near means a large cosine of the angle between two vectors: their product once both have length 1. A
/// vector of zeros is near nothing, its cosine is 0. Of equally near ones the first counts.
package struct NearestVectors: Sendable {
  /// One of the vectors that were gone through.
  package struct Match: Sendable, Hashable {
    /// Its position.
    package let row: Int
    /// -1...1.
    package let similarity: Float
  }

  private let queries: [Float]
  private let length: Int
  private let limit: Int
  /// For each query its matches so far, the nearest first.
  package private(set) var matches: [[Match]]
  private var seen = 0

  /// - Parameters:
  ///   - queries: [n, length], row after row.
  ///   - limit: how many are kept for each, at least 1.
  package init(to queries: [[Float]], limit: Int) {
    precondition(limit >= 1, "At least 1 match is kept, not \(limit).")
    let length = queries.first?.count ?? 0
    precondition(queries.allSatisfy { $0.count == length }, "Queries have one length.")
    self.length = length
    self.queries = queries.flatMap { query in
      let norm = query.reduce(0.0) { $0 + Double($1) * Double($1) }.squareRoot()
      return query.map { norm > 0 ? Float(Double($0) / norm) : 0 }
    }
    self.limit = limit
    matches = [[Match]](repeating: [], count: queries.count)
  }

  /// Goes through the next vectors, [m, length], row after row.
  package mutating func add(_ block: UnsafeBufferPointer<Float>) {
    guard length > 0, let base = block.baseAddress else { return }
    precondition(block.count.isMultiple(of: length), "A block holds whole vectors.")
    let (rows, columns) = (block.count / length, matches.count)
    var products = [Float](repeating: 0, count: rows * columns)
    queries.withUnsafeBufferPointer { queries in
      products.withUnsafeMutableBufferPointer { result in
        guard let own = queries.baseAddress, let target = result.baseAddress else { return }
        LinearAlgebra.multiply(
          MatrixView(base, rows: rows, columns: length),
          MatrixView(own, rows: length, columns: columns, transposed: true), into: target)
      }
    }
    for row in 0..<rows {
      let vector = UnsafeBufferPointer(rebasing: block[(row * length)..<((row + 1) * length)])
      let norm = vector.reduce(Float(0)) { $0 + $1 * $1 }.squareRoot()
      for column in 0..<columns {
        let similarity = norm > 0 ? products[row * columns + column] / norm : 0
        insert(Match(row: seen + row, similarity: similarity), column)
      }
    }
    seen += rows
  }

  private mutating func insert(_ match: Match, _ column: Int) {
    if matches[column].count == limit {
      guard let last = matches[column].last, match.similarity > last.similarity else { return }
      matches[column].removeLast()
    }
    let place =
      matches[column].firstIndex { $0.similarity < match.similarity } ?? matches[column].count
    matches[column].insert(match, at: place)
  }
}
