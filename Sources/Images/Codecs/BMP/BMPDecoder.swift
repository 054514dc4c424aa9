// SPDX-License-Identifier: Apache-2.0

/// Decodes BMP: 1 to 32 bits a pixel, run-length encoded or not, from either end.
///
/// Five and six bits are spread over 0 to 255 as Pillow does (v * 255 / 31, rounded down). A fourth byte
/// is alpha only where the header says so. The format is simple, and no library reads it for several
/// others: this is our own.
enum BMPDecoder {
  static func probe(
    _ bytes: UnsafeRawBufferPointer, _ options: DecodeOptions
  ) throws(ImageError) -> ImageProbe {
    let header = try BMPHeader(bytes, options)
    let channels = header.bits <= 8 ? 1 : header.hasAlpha ? 4 : 3
    return ImageProbe(
      format: .bmp, size: header.size, orientation: .upright, channels: channels,
      bitsPerChannel: header.bits <= 8 ? header.bits : header.bits == 16 ? 5 : 8,
      hasAlpha: header.hasAlpha, isCMYK: false, camera: nil, isProgressive: false,
      warnings: ImageWarnings())
  }

  static func decode(
    _ bytes: UnsafeRawBufferPointer, _ options: DecodeOptions
  ) throws(ImageError) -> (RGBImage, ImageWarnings) {
    let header = try BMPHeader(bytes, options)
    let size = header.size
    if header.compression == .runLength {
      let indices = try BMPRuns(header, bytes).indices()
      let image = RGBImage(size: size) { pixels in
        for index in 0..<(size.width * size.height) {
          write(header.palette[Int(indices[index])], to: pixels, at: index)
        }
      }
      return (image, ImageWarnings())
    }
    let stride = (size.width * header.bits + 31) / 32 * 4
    // The last row may lack the bytes that fill it up.
    let needed = stride * (size.height - 1) + (size.width * header.bits + 7) / 8
    guard header.offset <= bytes.count, bytes.count - header.offset >= needed else {
      throw .truncated(.bmp, detail: "data ends after \(bytes.count) bytes")
    }
    var isVisible = !header.hasAlpha
    let image = RGBImage(size: size) { pixels in
      for y in 0..<size.height {
        let from = header.offset + (header.isTopDown ? y : size.height - 1 - y) * stride
        let row = UnsafeRawBufferPointer(rebasing: bytes[from..<min(from + stride, bytes.count)])
        if convert(row, header, options.background, to: pixels, from: y * size.width) {
          isVisible = true
        }
      }
    }
    return (image, isVisible ? ImageWarnings() : .nothingVisible)
  }

  private static func write(
    _ color: RGBColor, to pixels: UnsafeMutableBufferPointer<UInt8>, at index: Int
  ) {
    pixels[3 * index] = color.red
    pixels[3 * index + 1] = color.green
    pixels[3 * index + 2] = color.blue
  }

  /// Writes a row of pixels; whether any of them is not transparent.
  private static func convert(
    _ row: UnsafeRawBufferPointer, _ header: BMPHeader, _ background: RGBColor,
    to pixels: UnsafeMutableBufferPointer<UInt8>, from first: Int
  ) -> Bool {
    var isVisible = !header.hasAlpha
    switch header.bits {
    case 24:
      for x in 0..<header.size.width {
        let color = RGBColor(red: row[3 * x + 2], green: row[3 * x + 1], blue: row[3 * x])
        write(color, to: pixels, at: first + x)
      }
    case 16, 32:
      for x in 0..<header.size.width {
        var pixel: UInt32 = 0
        for byte in 0..<(header.bits / 8) {
          pixel |= UInt32(row[x * header.bits / 8 + byte]) << UInt32(8 * byte)
        }
        if header.hasAlpha, header.masks[3].value(pixel) > 0 { isVisible = true }
        write(color(pixel, header, background), to: pixels, at: first + x)
      }
    default:
      let top = (1 << header.bits) - 1
      for x in 0..<header.size.width {
        let bit = x * header.bits
        let index = Int(row[bit / 8]) >> (8 - header.bits - bit % 8) & top
        write(header.palette[index], to: pixels, at: first + x)
      }
    }
    return isVisible
  }

  private static func color(
    _ pixel: UInt32, _ header: BMPHeader, _ background: RGBColor
  ) -> RGBColor {
    let masks = header.masks
    let color = RGBColor(
      red: masks[0].value(pixel), green: masks[1].value(pixel), blue: masks[2].value(pixel))
    guard header.hasAlpha else { return color }
    return color.composited(alpha: masks[3].value(pixel), on: background)
  }
}

extension RGBColor {
  /// This colour over `background`, with Pillow's rounding.
  fileprivate func composited(alpha: UInt8, on background: RGBColor) -> RGBColor {
    func blend(_ over: UInt8, _ under: UInt8) -> UInt8 {
      let weight = UInt32(alpha)
      let sum = UInt32(over) * (weight << 7) + UInt32(under) * ((255 - weight) << 7) + 0x4000
      return UInt8(truncatingIfNeeded: (((sum >> 8) + sum) >> 8) >> 7)
    }
    return RGBColor(
      red: blend(red, background.red), green: blend(green, background.green),
      blue: blend(blue, background.blue))
  }
}
