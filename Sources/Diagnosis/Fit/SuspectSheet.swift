// SPDX-License-Identifier: Apache-2.0

import ThawDatasets
import ThawImages

/// Photos side by side in one picture, each in a square with a coloured frame.
package enum SuspectSheet {
  private static let (side, gap, columns) = (160, 6, 6)

  /// A PNG of `photos` in reading order: a red frame for a suspicious label, grey for a hard photo.
  ///
  /// Photos that cannot be read any more are grey squares.
  package static func png(
    _ photos: [(photo: SubjectPhoto, isSuspicious: Bool)]
  ) throws -> [UInt8] {
    let rows = max((photos.count + columns - 1) / columns, 1)
    let cell = side + 2 * gap
    let size = PixelSize(width: columns * cell, height: rows * cell)
    var pixels = RGBImage(size: size, filledWith: .white).pixels
    for (index, item) in photos.enumerated() {
      let (x, y) = (index % columns * cell, index / columns * cell)
      let frame: (UInt8, UInt8, UInt8) = item.isSuspicious ? (200, 30, 30) : (190, 190, 190)
      let square = picture(of: item.photo)
      for row in 0..<cell - 2 {
        for column in 0..<cell - 2 {
          let at = ((y + row) * size.width + x + column) * 3
          let (u, v) = (column - gap + 1, row - gap + 1)
          if u >= 0, u < side, v >= 0, v < side, let square {
            let from = (v * side + u) * 3
            for channel in 0..<3 { pixels[at + channel] = square.pixels[from + channel] }
          } else {
            (pixels[at], pixels[at + 1], pixels[at + 2]) = frame
          }
        }
      }
    }
    return try PNGEncoder.encode(RGBImage(size: size, pixels: pixels))
  }

  /// The middle of a photo, as a square.
  private static func picture(of photo: SubjectPhoto) -> RGBImage? {
    let contract = Preprocessing.unit(inputSize: side).withGeometry(cropFraction: 1)
    guard let bytes = try? PhotoFiles.read(photo.path, limit: 1 << 30) else { return nil }
    return try? bytes.withUnsafeBytes { raw in
      contract.square(of: try ImageDecoder.decode(raw, options: DecodeOptions()))
    }
  }
}
