// SPDX-License-Identifier: Apache-2.0

import CThawImageCodecs

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
    let (columns, rows) = (Shares(of: image.width), Shares(of: image.height))
    let side = PhotoThumbnail.side
    levels = withUnsafeTemporaryAllocation(
      of: Float.self, capacity: image.width + side + side * side
    ) { space in
      let line = UnsafeMutableBufferPointer(rebasing: space[..<(image.width + side)])
      let sums = UnsafeMutableBufferPointer(rebasing: space[line.count...])
      sums.initialize(repeating: 0)
      var last = -1
      for row in 0..<side {
        for (y, share) in rows.pixels(of: row) {
          // On the border of two rows of cells both have a part of the same pixels.
          if y != last { columns.fill(line, from: image, y) }
          last = y
          let cells = line.count &- side
          for cell in 0..<side { sums[row &* side &+ cell] += share * line[cells &+ cell] }
        }
      }
      return sums.map { UInt8(min(max($0, 0), 255).rounded()) }
    }
  }

  /// Which pixels of a line make up each cell, and with how much of them.
  private struct Shares {
    /// Of each cell the first pixel.
    private var firsts: [Int] = []
    /// Of each cell where its shares begin, and where the last ones end.
    private var starts: [Int] = []
    /// What the pixels of a cell give to it, one after the other.
    private var shares: [Float] = []

    init(of count: Int) {
      let side = PhotoThumbnail.side
      let scale = Double(side) / Double(count)
      func share(_ pixel: Int, _ cell: Int) -> Double {
        min(Double(pixel + 1) * scale, Double(cell + 1)) - max(Double(pixel) * scale, Double(cell))
      }
      shares.reserveCapacity(count + side)
      var pixel = 0
      for cell in 0..<side {
        // The last pixel of the cell before may reach into this one.
        pixel = max(pixel - 1, 0)
        while share(pixel, cell) <= 0 { pixel += 1 }
        firsts.append(pixel)
        starts.append(shares.count)
        while pixel < count, share(pixel, cell) > 0 {
          shares.append(Float(share(pixel, cell)))
          pixel += 1
        }
      }
      starts.append(shares.count)
    }

    /// The pixels of a cell, with what they give to it.
    func pixels(of cell: Int) -> Zip2Sequence<PartialRangeFrom<Int>, ArraySlice<Float>> {
      zip(firsts[cell]..., shares[starts[cell]..<starts[cell + 1]])
    }

    /// Fills `line` with the brightness of a row's pixels, and behind it with what they give to the cells.
    func fill(_ line: UnsafeMutableBufferPointer<Float>, from image: RGBImage, _ y: Int) {
      let width = image.width
      image.pixels.withUnsafeBufferPointer { pixels in
        thaw_brightness(
          pixels.baseAddress.map { $0 + y * width * 3 }, width, line.baseAddress)
      }
      shares.withUnsafeBufferPointer { shares in
        for cell in 0..<PhotoThumbnail.side {
          var (sum, pixel) = (0 as Float, firsts[cell])
          for at in starts[cell]..<starts[cell &+ 1] {
            sum += shares[at] * line[pixel]
            pixel &+= 1
          }
          line[width &+ cell] = sum
        }
      }
    }
  }
}
