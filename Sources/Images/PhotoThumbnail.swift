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
    let (columns, rows) = (Shares(of: image.width), Shares(of: image.height))
    var sums = [Float](repeating: 0, count: side * side)
    var (line, brightness) = ([Float](repeating: 0, count: side), [Float]())
    brightness.reserveCapacity(image.width)
    for y in 0..<image.height {
      image.brightness(ofRow: y, into: &brightness)
      for cell in 0..<side { line[cell] = 0 }
      for part in columns.all { line[part.cell] += part.share * brightness[part.pixel] }
      for part in rows.parts(of: y) {
        for x in 0..<side { sums[part.cell * side + x] += part.share * line[x] }
      }
    }
    levels = sums.map { UInt8(min(max($0, 0), 255).rounded()) }
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

    /// The parts of one pixel.
    func parts(of pixel: Int) -> ArraySlice<Part> { all[starts[pixel]..<starts[pixel + 1]] }
  }
}

extension RGBImage {
  /// 0.299 R + 0.587 G + 0.114 B of the pixels of a row.
  fileprivate func brightness(ofRow y: Int, into levels: inout [Float]) {
    levels.removeAll(keepingCapacity: true)
    pixels.withUnsafeBufferPointer { pixels in
      for at in stride(from: y * width * 3, to: (y + 1) * width * 3, by: 3) {
        levels.append(
          0.299 * Float(pixels[at]) + 0.587 * Float(pixels[at + 1]) + 0.114 * Float(pixels[at + 2])
        )
      }
    }
  }
}
