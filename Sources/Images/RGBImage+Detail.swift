// SPDX-License-Identifier: Apache-2.0

import CThawImageCodecs

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
    var (total, squared): (UInt64, UInt64) = (0, 0)
    thaw_level_sums(levels, levels.count, &total, &squared)
    let (mean, squares) = (Double(total) / count, Double(squared) / count)
    let deviation = max(squares - mean * mean, 0).squareRoot()
    guard deviation * scale > 4 else { return nil }
    let sum = thaw_level_differences(levels, columns, rows)
    return Double(sum) / Double((columns - 2) * (rows - 2)) / deviation
  }

  /// The sum of the samples in squares of `step` pixels; 32 bits hold those of an image of 100 000
  /// pixels by 100 000.
  private func sums(_ columns: Int, _ rows: Int, _ step: Int) -> [UInt32] {
    var sums = [UInt32](repeating: 0, count: columns * rows)
    pixels.withUnsafeBufferPointer { pixels in
      sums.withUnsafeMutableBufferPointer { sums in
        guard let pixels = pixels.baseAddress, let sums = sums.baseAddress else { return }
        for y in 0..<(rows * step) {
          thaw_add_samples(pixels + y * width * 3, columns, step, sums + y / step * columns)
        }
      }
    }
    return sums
  }
}
