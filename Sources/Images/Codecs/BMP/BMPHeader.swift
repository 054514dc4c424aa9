// SPDX-License-Identifier: Apache-2.0

/// What the headers of a BMP say, checked: every number that the pixels depend on is within bounds.
///
/// - Source: Microsoft, BITMAPFILEHEADER to BITMAPV5HEADER; for OS/2's short header Pillow's
///   `BmpImagePlugin`.
struct BMPHeader {
  enum Compression: Equatable { case none, runLength, bitFields }

  /// A colour's bits in a pixel of 16 or 32 bits.
  struct Mask: Equatable {
    let shift: UInt32
    let top: UInt32

    /// Nil for bits that are not side by side.
    init?(_ mask: UInt32) {
      shift = mask == 0 ? 0 : UInt32(mask.trailingZeroBitCount)
      top = mask >> shift
      guard top & (top &+ 1) == 0 else { return nil }
    }

    /// The colour in 0...255.
    func value(_ pixel: UInt32) -> UInt8 {
      top == 0 ? 0 : UInt8(UInt64(pixel >> shift & top) * 255 / UInt64(top))
    }
  }

  let size: PixelSize
  let isTopDown: Bool
  let bits: Int
  let compression: Compression
  /// Red, green, blue, alpha.
  let masks: [Mask]
  /// 256 colours; those that the file does not have are black.
  let palette: [RGBColor]
  /// Where the pixels begin.
  let offset: Int

  var hasAlpha: Bool { masks.count == 4 && masks[3].top > 0 }

  init(_ bytes: UnsafeRawBufferPointer, _ options: DecodeOptions) throws(ImageError) {
    let reader = BMPReader(bytes: bytes)
    let headerSize = try reader.u32(14)
    guard [12, 40, 52, 56, 64, 108, 124].contains(headerSize) else {
      throw .corrupt(.bmp, detail: "a header of \(headerSize) bytes")
    }
    let isShort = headerSize == 12
    let width = isShort ? Int(try reader.u16(18)) : Int(try reader.i32(18))
    let height = isShort ? Int(try reader.u16(20)) : Int(try reader.i32(22))
    bits = Int(try reader.u16(isShort ? 24 : 28))
    guard width > 0, height != 0, height > Int(Int32.min) else {
      throw .corrupt(.bmp, detail: "the header says \(width) x \(height) pixels")
    }
    size = PixelSize(width: width, height: abs(height))
    isTopDown = height < 0
    guard size.height <= options.maximumPixels / size.width else {
      throw .tooLarge(.bmp, detail: "\(size) pixels", maximumPixels: options.maximumPixels)
    }
    guard [1, 2, 4, 8, 16, 24, 32].contains(bits) else {
      throw .corrupt(.bmp, detail: "\(bits) bits a pixel")
    }
    compression = try BMPHeader.compression(isShort ? 0 : try reader.u32(30), bits: bits)
    masks = try BMPHeader.masks(reader, bits: bits, compression, headerSize: Int(headerSize))
    let extra = compression == .bitFields && headerSize == 40 ? 12 : 0
    let start = 14 + Int(headerSize) + extra
    let declared = isShort ? 0 : Int(try reader.u32(46))
    palette = bits > 8 ? [] : try BMPHeader.palette(reader, at: start, declared, bits, isShort)
    offset = Int(try reader.u32(10))
    guard offset >= 26 else { throw .corrupt(.bmp, detail: "the pixels begin in the header") }
  }

  private static func compression(_ code: UInt32, bits: Int) throws(ImageError) -> Compression {
    switch (code, bits) {
    case (0, _): return .none
    case (1, 8), (2, 4): return .runLength
    case (3, 16), (3, 32), (6, 16), (6, 32): return .bitFields
    case (4, _): throw .unsupportedVariant(what: "a JPEG in a BMP")
    case (5, _): throw .unsupportedVariant(what: "a PNG in a BMP")
    default:
      throw .corrupt(.bmp, detail: "compression \(code) with \(bits) bits a pixel")
    }
  }

  private static func masks(
    _ reader: BMPReader, bits: Int, _ compression: Compression, headerSize: Int
  ) throws(ImageError) -> [Mask] {
    var values: [UInt32] =
      bits == 16 ? [0x7C00, 0x3E0, 0x1F] : [0xFF_0000, 0xFF00, 0xFF]
    if compression == .bitFields {
      values = []
      // Where the header has a place for alpha's bits, they count.
      for index in 0..<(headerSize >= 56 && headerSize != 64 ? 4 : 3) {
        values.append(try reader.u32(54 + 4 * index))
      }
    }
    var masks: [Mask] = []
    for value in values {
      guard let mask = Mask(value) else {
        throw .unsupportedVariant(what: "a BMP whose colours have scattered bits")
      }
      masks.append(mask)
    }
    return masks
  }

  private static func palette(
    _ reader: BMPReader, at start: Int, _ declared: Int, _ bits: Int, _ isShort: Bool
  ) throws(ImageError) -> [RGBColor] {
    let count = declared == 0 ? 1 << bits : min(declared, 256)
    var colors: [RGBColor] = []
    for index in 0..<count {
      let at = start + index * (isShort ? 3 : 4)
      colors.append(
        RGBColor(
          red: try reader.u8(at + 2), green: try reader.u8(at + 1), blue: try reader.u8(at)))
    }
    let black = RGBColor(red: 0, green: 0, blue: 0)
    return colors + [RGBColor](repeating: black, count: 256 - count)
  }
}

/// Numbers at places of a file, little-endian; a place beyond the end is an error.
struct BMPReader {
  let bytes: UnsafeRawBufferPointer

  func u8(_ at: Int) throws(ImageError) -> UInt8 {
    guard at >= 0, at < bytes.count else {
      throw .truncated(.bmp, detail: "data ends after \(bytes.count) bytes")
    }
    return bytes[at]
  }

  func u16(_ at: Int) throws(ImageError) -> UInt16 {
    UInt16(try u8(at)) | UInt16(try u8(at + 1)) << 8
  }

  func u32(_ at: Int) throws(ImageError) -> UInt32 {
    UInt32(try u16(at)) | UInt32(try u16(at + 2)) << 16
  }

  func i32(_ at: Int) throws(ImageError) -> Int32 { Int32(bitPattern: try u32(at)) }
}
