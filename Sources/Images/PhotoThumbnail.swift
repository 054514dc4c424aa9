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
    let (columns, rows) = (Shares(of: image.width), Shares(of: image.height))
    var sums = [SIMD16<Float>](repeating: .zero, count: PhotoThumbnail.side)
    image.pixels.withUnsafeBufferPointer { pixels in
      for y in 0..<image.height {
        let line = columns.cells(of: pixels, from: y * image.width * 3)
        for part in rows.parts(of: y) { sums[part.cell] += part.share * line }
      }
    }
    levels = sums.flatMap { line in
      (0..<PhotoThumbnail.side).map { UInt8(min(max(line[$0], 0), 255).rounded()) }
    }
  }

  /// Which pixels of a line make up each cell, and with how much of it.
  private struct Shares {
    /// What one pixel gives to one cell.
    struct Part {
      let pixel: Int
      let cell: Int
      let share: Float
    }
    /// In the order of the pixels.
    let all: [Part]
    private let starts: [Int]

    init(of count: Int) {
      let side = PhotoThumbnail.side
      let scale = Double(side) / Double(count)
      var (all, starts): ([Part], [Int]) = ([], [])
      all.reserveCapacity(count + side)
      starts.reserveCapacity(count + 1)
      for pixel in 0..<count {
        starts.append(all.count)
        let (start, end) = (Double(pixel) * scale, Double(pixel + 1) * scale)
        for cell in Int(start)...min(Int(end), side - 1) {
          let share = min(end, Double(cell + 1)) - max(start, Double(cell))
          if share > 0 { all.append(Part(pixel: pixel, cell: cell, share: Float(share))) }
        }
      }
      starts.append(all.count)
      (self.all, self.starts) = (all, starts)
    }

    /// What the pixels of a row, three samples each from `start`, give to the cells.
    func cells(of pixels: UnsafeBufferPointer<UInt8>, from start: Int) -> SIMD16<Float> {
      var cells = SIMD16<Float>.zero
      all.withUnsafeBufferPointer { parts in
        var next = 0
        for cell in 0..<PhotoThumbnail.side {
          var sum: Float = 0
          while next < parts.count, parts[next].cell == cell {
            let at = start + parts[next].pixel * 3
            let (red, green, blue) = (pixels[at], pixels[at + 1], pixels[at + 2])
            let brightness = 0.299 * Float(red) + 0.587 * Float(green) + 0.114 * Float(blue)
            sum += parts[next].share * brightness
            next += 1
          }
          cells[cell] = sum
        }
      }
      return cells
    }

    /// The parts of one pixel.
    func parts(of pixel: Int) -> ArraySlice<Part> { all[starts[pixel]..<starts[pixel + 1]] }
  }
}
