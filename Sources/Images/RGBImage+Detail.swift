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
    let levels = brightness(columns, rows, step)
    let count = Float(levels.count)
    let mean = levels.reduce(0, +) / count
    let deviation = (levels.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / count).squareRoot()
    guard deviation > 4 else { return nil }
    var sum: Float = 0
    levels.withUnsafeBufferPointer { levels in
      for y in 1..<(rows - 1) {
        for x in 1..<(columns - 1) {
          let at = y * columns + x
          let around = levels[at - 1] + levels[at + 1] + levels[at - columns] + levels[at + columns]
          sum += abs(4 * levels[at] - around)
        }
      }
    }
    return Double(sum / Float((columns - 2) * (rows - 2)) / deviation)
  }

  /// The mean of the samples in squares of `step` pixels.
  private func brightness(_ columns: Int, _ rows: Int, _ step: Int) -> [Float] {
    var sums = [Int32](repeating: 0, count: columns * rows)
    pixels.withUnsafeBufferPointer { pixels in
      for y in 0..<(rows * step) {
        var at = y * width * 3
        let row = y / step * columns
        for x in 0..<columns {
          var sum: Int32 = 0
          for _ in 0..<step {
            sum += Int32(pixels[at]) + Int32(pixels[at + 1]) + Int32(pixels[at + 2])
            at += 3
          }
          sums[row + x] += sum
        }
      }
    }
    let scale = 1 / Float(3 * step * step)
    return sums.map { Float($0) * scale }
  }
}
