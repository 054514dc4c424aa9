// SPDX-License-Identifier: Apache-2.0

import Glibc
import ThawImages

/// Compares two thumbnails cell by cell, also when one shows a slightly smaller part of the scene.
struct ThumbnailMatch {
  /// A thumbnail with mean 0 and length 1; nil for one in which there is nothing to be recognised.
  struct Normal: Sendable {
    let values: [Float]

    init?(_ levels: [Float]) {
      let mean = Normal.sum(of: levels) { $0 } / Float(levels.count)
      let length = Normal.sum(of: levels) { ($0 - mean) * ($0 - mean) }.squareRoot()
      // A deviation of two levels: sky, paper, black.
      guard length > 2 * Float(PhotoThumbnail.side) else { return nil }
      values = [Float](unsafeUninitializedCapacity: levels.count) { values, count in
        for index in levels.indices { values[index] = (levels[index] - mean) / length }
        count = levels.count
      }
    }

    /// The sum over all cells, a thumbnail's row at a time: sixteen sums, then theirs.
    private static func sum(of levels: [Float], _ term: (SIMD16<Float>) -> SIMD16<Float>) -> Float {
      levels.withUnsafeBytes { bytes in
        var sums = SIMD16<Float>.zero
        for offset in stride(from: 0, to: bytes.count, by: MemoryLayout<SIMD16<Float>>.size) {
          sums += term(bytes.loadUnaligned(fromByteOffset: offset, as: SIMD16<Float>.self))
        }
        return sums.sum()
      }
    }

    func correlation(_ other: Normal) -> Float {
      values.withUnsafeBytes { one in
        other.values.withUnsafeBytes { two in
          var sums = SIMD16<Float>.zero
          for offset in stride(from: 0, to: one.count, by: MemoryLayout<SIMD16<Float>>.size) {
            sums +=
              one.loadUnaligned(fromByteOffset: offset, as: SIMD16<Float>.self)
              * two.loadUnaligned(fromByteOffset: offset, as: SIMD16<Float>.self)
          }
          return sums.sum()
        }
      }
    }
  }

  /// Correlations from here on are copies. Of 78 210 pairs of different photos of ants and bees none
  /// that the hashes find alike comes to more than 0.83; of copies cropped by a tenth, the worst twentieth
  /// to less than 0.9.
  static let threshold: Float = 0.88

  /// The thumbnail of a photo whose border is cut off: a twentieth of each side.
  static func inner(_ levels: [Float]) -> [Float] {
    Window(x: 0.025, y: 0.025, scale: 0.95).part(of: levels)
  }

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
      Normal(part(of: levels)).map { $0.correlation(other) >= threshold } ?? false
    }

    /// The window enlarged to the whole grid, between cells by straight lines.
    func part(of levels: [Float]) -> [Float] {
      let side = PhotoThumbnail.side
      // Every row along x, then rows of those along y, sixteen cells at once.
      var lines = [SIMD16<Float>](repeating: .zero, count: side)
      levels.withUnsafeBufferPointer { levels in
        lines.withUnsafeMutableBytes { bytes in
          let cells = bytes.assumingMemoryBound(to: Float.self)
          for (x, (left, right, across)) in columns.enumerated() {
            for row in stride(from: 0, to: side * side, by: side) {
              let (a, b) = (levels[row &+ left], levels[row &+ right])
              cells[row &+ x] = a + (b - a) * across
            }
          }
        }
      }
      return [Float](unsafeUninitializedCapacity: side * side) { result, count in
        let bytes = UnsafeMutableRawBufferPointer(result)
        for (y, (top, bottom, down)) in rows.enumerated() {
          let line = lines[top] + (lines[bottom] - lines[top]) * down
          bytes.storeBytes(
            of: line, toByteOffset: y * MemoryLayout<SIMD16<Float>>.size,
            as: SIMD16<Float>.self)
        }
        count = side * side
      }
    }
  }
}
