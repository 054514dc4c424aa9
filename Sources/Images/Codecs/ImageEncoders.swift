// SPDX-License-Identifier: Apache-2.0

import CThawImageCodecs

/// Encodes images losslessly, for reports and fixtures.
package enum PNGEncoder {
  /// An 8-bit RGB PNG of the image; decoding it gives the same pixels.
  ///
  /// - Throws: ``ImageError/notEncodable(_:detail:)`` beyond libpng's limit of a million a side.
  package static func encode(_ image: RGBImage) throws(ImageError) -> [UInt8] {
    try encoded(image, as: .png) { pixels, bytes, count, report in
      thaw_png_encode(
        pixels, UInt32(clamping: image.width), UInt32(clamping: image.height), bytes, count, report)
    }
  }
}

/// Encodes photos small, for report thumbnails.
package enum JPEGEncoder {
  /// A baseline JPEG with chroma at half resolution, at libjpeg's `quality` 1 to 100.
  ///
  /// - Throws: ``ImageError/notEncodable(_:detail:)`` for a side beyond 65 500 pixels.
  package static func encode(_ image: RGBImage, quality: Int = 85) throws(ImageError) -> [UInt8] {
    precondition((1...100).contains(quality), "JPEG quality is 1 to 100, not \(quality).")
    return try encoded(image, as: .jpeg) { pixels, bytes, count, report in
      thaw_jpeg_encode(
        pixels, UInt32(clamping: image.width), UInt32(clamping: image.height),
        UInt32(clamping: quality), bytes, count, report)
    }
  }
}

private typealias EncodeCall = (
  UnsafePointer<UInt8>?, UnsafeMutablePointer<UnsafeMutablePointer<UInt8>?>,
  UnsafeMutablePointer<Int>, UnsafeMutablePointer<thaw_image_report>
) -> thaw_image_status

private func encoded(
  _ image: RGBImage, as format: ImageFormat, by call: EncodeCall
) throws(ImageError) -> [UInt8] {
  var bytes: UnsafeMutablePointer<UInt8>?
  var count = 0
  var report = thaw_image_report()
  let status = image.pixels.withUnsafeBufferPointer {
    call($0.baseAddress, &bytes, &count, &report)
  }
  defer { thaw_image_free(bytes) }
  guard status != THAW_IMAGE_NO_MEMORY else { throw .outOfMemory(detail: "encoding \(format)") }
  guard status == THAW_IMAGE_OK, let bytes else {
    throw .notEncodable(format, detail: messageText(report.message))
  }
  return Array(UnsafeBufferPointer(start: bytes, count: count))
}
