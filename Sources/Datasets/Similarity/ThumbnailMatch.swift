// SPDX-License-Identifier: Apache-2.0

import Glibc
import ThawImages

/// Compares two thumbnails cell by cell, also when one shows a slightly smaller part of the scene.
struct ThumbnailMatch {
  /// A thumbnail's cells, a row at a time.
  typealias Rows = UnsafeMutableBufferPointer<SIMD16<Float>>

  /// A thumbnail with mean 0 and length 1; nil for one in which there is nothing to be recognised.
  struct Normal: Sendable {
    private let rows: [SIMD16<Float>]

    init?(_ levels: [Float]) {
      let side = PhotoThumbnail.side
      var scale: (mean: Float, length: Float)?
      rows = [SIMD16<Float>](unsafeUninitializedCapacity: side) { rows, count in
        levels.withUnsafeBytes { bytes in
          for row in 0..<side {
            rows[row] = bytes.loadUnaligned(
              fromByteOffset: row * MemoryLayout<SIMD16<Float>>.size, as: SIMD16<Float>.self)
          }
        }
        scale = Normal.scale(of: rows)
        if let scale { for row in 0..<side { rows[row] = (rows[row] - scale.mean) / scale.length } }
        count = side
      }
      if scale == nil { return nil }
    }

    /// Mean and length; nil where there is nothing to be recognised.
    private static func scale(of rows: Rows) -> (mean: Float, length: Float)? {
      let side = PhotoThumbnail.side
      // The sum over all cells, a row at a time: sixteen sums, then theirs.
      var sums = SIMD16<Float>.zero
      for row in 0..<side { sums += rows[row] }
      let mean = sums.sum() / Float(side * side)
      var squares = SIMD16<Float>.zero
      for row in 0..<side { squares += (rows[row] - mean) * (rows[row] - mean) }
      let length = squares.sum().squareRoot()
      // A deviation of two levels: sky, paper, black.
      return length > 2 * Float(side) ? (mean, length) : nil
    }

    func correlation(_ other: Normal) -> Float {
      rows.withUnsafeBufferPointer { one in
        other.rows.withUnsafeBufferPointer { two in
          var sums = SIMD16<Float>.zero
          for row in 0..<PhotoThumbnail.side { sums += one[row] * two[row] }
          return sums.sum()
        }
      }
    }

    /// The same for cells that are not normal; nil where there is nothing to be recognised in them.
    func correlation(_ other: Rows) -> Float? {
      guard let (mean, length) = Normal.scale(of: other) else { return nil }
      return rows.withUnsafeBufferPointer { own in
        var sums = SIMD16<Float>.zero
        for row in 0..<PhotoThumbnail.side {
          sums += ((other[row] - mean) / length) * own[row]
        }
        return sums.sum()
      }
    }
  }

  /// Correlations from here on are copies. Of 78 210 pairs of different photos of ants and bees none
  /// that the hashes find alike comes to more than 0.83; of copies cropped by a tenth, the worst twentieth
  /// to less than 0.9.
  static let threshold: Float = 0.88

  /// The thumbnail of a photo whose border is cut off: a twentieth of each side.
  static func inner(_ levels: [Float]) -> [Float] {
    withinBorder.withPart(of: levels) { rows in
      Array(UnsafeRawBufferPointer(rows).bindMemory(to: Float.self))
    }
  }

  private static let withinBorder = Window(x: 0.025, y: 0.025, scale: 0.95)

  /// A thumbnail that is compared with many.
  struct Picture: Sendable {
    let levels: [Float]
    let normal: Normal

    init?(_ levels: [Float]) {
      guard let normal = Normal(levels) else { return nil }
      (self.levels, self.normal) = (levels, normal)
    }
  }

  /// Whether one shows the other, or most of it.
  static func areAlike(_ one: Picture, _ two: Picture) -> Bool {
    let plain = one.normal.correlation(two.normal)
    if plain >= threshold { return true }
    // No shift by a cell makes up for that.
    guard plain > 0.2 else { return false }
    return windows.contains { window in
      window.isAlike(one.levels, two.normal) || window.isAlike(two.levels, one.normal)
    }
  }

  /// Parts of a photo that a crop leaves: nine places for each of two sizes.
  private static let windows: [Window] = [0.95, 0.9].flatMap { scale in
    (0..<9).map { place in
      Window(
        x: Float(place % 3) / 2 * (1 - scale), y: Float(place / 3) / 2 * (1 - scale), scale: scale)
    }
  }

  private struct Window {
    private let columns: [(Int, Int, Float)]
    private let rows: [(Int, Int, Float)]

    init(x: Float, y: Float, scale: Float) {
      columns = Window.places(x, scale)
      rows = Window.places(y, scale)
    }

    private static func places(_ start: Float, _ scale: Float) -> [(Int, Int, Float)] {
      let side = PhotoThumbnail.side
      return (0..<side).map { cell in
        let at = min(
          max((Float(cell) + 0.5) * scale + start * Float(side) - 0.5, 0), Float(side - 1))
        return (Int(at), min(Int(at) + 1, side - 1), at - Float(Int(at)))
      }
    }

    /// Whether the window of one photo shows the other.
    func isAlike(_ levels: [Float], _ other: Normal) -> Bool {
      withPart(of: levels) { other.correlation($0).map { $0 >= threshold } ?? false }
    }

    /// What `body` makes of the window enlarged to the whole grid, between cells by straight lines.
    func withPart<Result>(of levels: [Float], _ body: (Rows) -> Result) -> Result {
      let side = PhotoThumbnail.side
      // Every row along x, then rows of those along y, sixteen cells at once.
      return withUnsafeTemporaryAllocation(of: SIMD16<Float>.self, capacity: 2 * side) { both in
        let lines = Rows(rebasing: both[..<side])
        let cells = UnsafeMutableRawBufferPointer(lines).assumingMemoryBound(to: Float.self)
        levels.withUnsafeBufferPointer { levels in
          for (x, (left, right, across)) in columns.enumerated() {
            for row in stride(from: 0, to: side * side, by: side) {
              let (a, b) = (levels[row &+ left], levels[row &+ right])
              cells[row &+ x] = a + (b - a) * across
            }
          }
        }
        let result = Rows(rebasing: both[side...])
        for (row, (top, bottom, down)) in rows.enumerated() {
          result[row] = lines[top] + (lines[bottom] - lines[top]) * down
        }
        return body(result)
      }
    }
  }
}
