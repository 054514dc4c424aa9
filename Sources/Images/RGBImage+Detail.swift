// SPDX-License-Identifier: Apache-2.0

extension RGBImage {
  /// How much fine detail there is for the contrast: near 0 in a blurred photo, whatever it shows.
  ///
  /// Brightness is averaged over squares so that the longer side has 64 to 127 of them, which makes photos of
  /// all sizes comparable. Then: the mean of |4 c - left - right - above - below| over the squares inside,
  /// divided by their deviation. Nil for a photo without contrast or too small to tell.
  package var detail: Double? {
    let step = max(max(width, height) / 64, 1)
    let (columns, rows) = (width / step, height / step)
    guard columns >= 8, rows >= 8 else { return nil }
    // Sums of the three samples of all pixels of a square; whole numbers, so that no order of adding counts.
    let levels = sums(columns, rows, step)
    let scale = 1 / Double(3 * step * step)
    let count = Double(levels.count)
    let (total, squared) = levels.withUnsafeBufferPointer { levels in
      var (total, squared): (UInt64, UInt64) = (0, 0)
      for level in levels {
        total &+= UInt64(level)
        squared &+= UInt64(level) &* UInt64(level)
      }
      return (total, squared)
    }
    let (mean, squares) = (Double(total) / count, Double(squared) / count)
    let deviation = max(squares - mean * mean, 0).squareRoot()
    guard deviation * scale > 4 else { return nil }
    let sum = levels.withUnsafeBufferPointer { levels in
      var sum: UInt64 = 0
      for y in 1..<(rows - 1) {
        for at in (y &* columns &+ 1)..<(y &* columns &+ columns &- 1) {
          let around =
            levels[at &- 1] &+ levels[at &+ 1] &+ levels[at &- columns] &+ levels[at &+ columns]
          // Wraps around to the difference, whichever is larger.
          let difference = Int32(truncatingIfNeeded: 4 &* levels[at] &- around)
          sum &+= UInt64(difference.magnitude)
        }
      }
      return sum
    }
    return Double(sum) / Double((columns - 2) * (rows - 2)) / deviation
  }

  /// The sum of the samples in squares of `step` pixels; 32 bits hold those of an image of 100 000
  /// pixels by 100 000.
  private func sums(_ columns: Int, _ rows: Int, _ step: Int) -> [UInt32] {
    var sums = [UInt32](repeating: 0, count: columns * rows)
    pixels.withUnsafeBufferPointer { pixels in
      sums.withUnsafeMutableBufferPointer { sums in
        for y in 0..<(rows * step) {
          let start = y * width * 3
          let row = y / step * columns
          guard step > 1 else {
            for x in 0..<columns {
              let at = start &+ 3 &* x
              sums[row &+ x] =
                UInt32(pixels[at]) &+ UInt32(pixels[at &+ 1]) &+ UInt32(pixels[at &+ 2])
            }
            continue
          }
          for x in 0..<columns {
            var sum: UInt32 = 0
            for at in (start &+ 3 &* step &* x)..<(start &+ 3 &* step &* (x &+ 1)) {
              sum &+= UInt32(pixels[at])
            }
            sums[row &+ x] &+= sum
          }
        }
      }
    }
    return sums
  }
}
