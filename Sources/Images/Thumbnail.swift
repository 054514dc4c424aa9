// SPDX-License-Identifier: Apache-2.0

/// Small pictures of photos for reports.
package enum Thumbnail {
  /// The whole photo as a JPEG whose longer side has `longerSide` pixels.
  package static func jpeg(of bytes: [UInt8], longerSide: Int) throws -> [UInt8] {
    let decoded = try bytes.withUnsafeBytes { raw in
      var options = DecodeOptions()
      options.minimumSize = PixelSize(width: 2 * longerSide, height: 2 * longerSide)
      return try ImageDecoder.decode(raw, options: options)
    }
    return try jpeg(of: decoded.image, longerSide: longerSide)
  }

  /// The whole image as a JPEG whose longer side has `longerSide` pixels.
  package static func jpeg(of image: RGBImage, longerSide: Int) throws -> [UInt8] {
    let size = image.size
    let longest = max(size.width, size.height)
    let target = PixelSize(
      width: max(size.width * longerSide / longest, 1),
      height: max(size.height * longerSide / longest, 1))
    return try JPEGEncoder.encode(
      image.resized(to: target, interpolation: .bilinear), quality: 80)
  }
}
