// SPDX-License-Identifier: Apache-2.0

/// A photo's brightness on a grid of 16 x 16: enough to tell copies of it from other photos.
package struct PhotoThumbnail: Hashable, Sendable {
  /// Cells across and down.
  package static let side = 16

  /// 256 levels, rows from the top: the mean brightness of what each cell covers.
  package let levels: [UInt8]

  /// Nil unless there are 256 levels.
  package init?(levels: [UInt8]) {
    guard levels.count == PhotoThumbnail.side * PhotoThumbnail.side else { return nil }
    self.levels = levels
  }

  /// The grid laid over an image of any size.
  ///
  /// Brightness is 0.299 R + 0.587 G + 0.114 B. A pixel on the border of cells counts for each by what
  /// lies in it, so that copies of other sizes have nearly the same levels.
  package init(_ image: RGBImage) {
    let side = PhotoThumbnail.side
    let columns = PhotoThumbnail.shares(of: image.width)
    let rows = PhotoThumbnail.shares(of: image.height)
    var sums = [Float](repeating: 0, count: side * side)
    var line = [Float](repeating: 0, count: side)
    image.pixels.withUnsafeBufferPointer { pixels in
      for (y, row) in rows.enumerated() {
        for cell in 0..<side { line[cell] = 0 }
        var at = y * image.width * 3
        for column in columns {
          let level =
            0.299 * Float(pixels[at]) + 0.587 * Float(pixels[at + 1]) + 0.114
            * Float(pixels[at + 2])
          at += 3
          for (cell, share) in column { line[cell] += share * level }
        }
        for (cell, share) in row {
          for index in 0..<side { sums[cell * side + index] += share * line[index] }
        }
      }
    }
    levels = sums.map { UInt8(min(max($0, 0), 255).rounded()) }
  }

  /// Which part of each cell the pixels of a line make up, pixel by pixel.
  private static func shares(of count: Int) -> [[(cell: Int, share: Float)]] {
    let scale = Double(side) / Double(count)
    return (0..<count).map { pixel in
      let (start, end) = (Double(pixel) * scale, Double(pixel + 1) * scale)
      return (Int(start)...min(Int(end), side - 1)).compactMap { cell in
        let share = min(end, Double(cell + 1)) - max(start, Double(cell))
        return share > 0 ? (cell, Float(share)) : nil
      }
    }
  }
}
