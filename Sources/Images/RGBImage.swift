// SPDX-License-Identifier: Apache-2.0

/// A photo in memory: interleaved 8-bit red, green and blue, rows from the top, without padding.
///
/// A value: copies are independent. Neither side is ever zero.
package struct RGBImage: Hashable, Sendable, CustomStringConvertible {
  /// Extent in pixels.
  package let size: PixelSize
  /// height * width * 3 samples: `pixels[(y * width + x) * 3 + channel]`.
  package private(set) var pixels: [UInt8]

  /// Columns.
  package var width: Int { size.width }
  /// Rows.
  package var height: Int { size.height }

  /// An image of given samples; traps unless there are width * height * 3 of them.
  package init(size: PixelSize, pixels: [UInt8]) {
    precondition(size.width > 0 && size.height > 0, "An image cannot be \(size).")
    precondition(
      pixels.count == size.width * size.height * 3,
      "An image of \(size) needs \(size.width * size.height * 3) samples, got \(pixels.count).")
    self.size = size
    self.pixels = pixels
  }

  /// An image of one colour.
  package init(size: PixelSize, filledWith color: RGBColor) {
    self.init(size: size) { samples in
      for index in 0..<(size.width * size.height) {
        samples[3 * index] = color.red
        samples[3 * index + 1] = color.green
        samples[3 * index + 2] = color.blue
      }
    }
  }

  /// An image whose samples `body` writes, all of them: they are uninitialized before.
  package init<Failure: Error>(
    size: PixelSize, initializedBy body: (UnsafeMutableBufferPointer<UInt8>) throws(Failure) -> Void
  ) throws(Failure) {
    precondition(size.width > 0 && size.height > 0, "An image cannot be \(size).")
    let count = size.width * size.height * 3
    var failure: Failure?
    pixels = [UInt8](unsafeUninitializedCapacity: count) { buffer, initialized in
      do throws(Failure) {
        try body(UnsafeMutableBufferPointer(rebasing: buffer[..<count]))
        initialized = count
      } catch { failure = error }
    }
    self.size = size
    if let failure { throw failure }
  }

  /// Changes samples in place.
  mutating func withMutablePixels(_ body: (UnsafeMutableBufferPointer<UInt8>) -> Void) {
    pixels.withUnsafeMutableBufferPointer { body($0) }
  }

  /// For example `500 x 375 pixels`; the samples would flood a log.
  package var description: String { "\(size) pixels" }

  /// The three samples of a pixel; traps outside the image.
  package subscript(x: Int, y: Int) -> RGBColor {
    precondition(x >= 0 && x < width && y >= 0 && y < height, "(\(x), \(y)) is outside \(size).")
    let at = (y * width + x) * 3
    return RGBColor(red: pixels[at], green: pixels[at + 1], blue: pixels[at + 2])
  }

  /// The pixels inside `rectangle`; traps when it leaves the image.
  package func cropped(to rectangle: PixelRectangle) -> RGBImage {
    precondition(rectangle.fits(in: size), "The crop \(rectangle) leaves the image of \(size).")
    return RGBImage(size: rectangle.size) { target in
      pixels.withUnsafeBufferPointer { source in
        let bytes = rectangle.size.width * 3
        for row in 0..<rectangle.size.height {
          let from = ((rectangle.y + row) * width + rectangle.x) * 3
          _ = UnsafeMutableBufferPointer(rebasing: target[(row * bytes)...])
            .update(fromContentsOf: source[from..<(from + bytes)])
        }
      }
    }
  }
}
