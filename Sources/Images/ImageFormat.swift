// SPDX-License-Identifier: Apache-2.0

/// The format of an image file, found in its first bytes and never in its name.
package enum ImageFormat: Hashable, Sendable, CustomStringConvertible {
  /// JPEG, decoded.
  case jpeg
  /// PNG, decoded (an animated one to its default image).
  case png
  /// Known by signature but not decoded.
  case gif, webp, bmp, tiff, heic, avif, jpegXL, jpeg2000, pdf
  /// Nothing known; the first bytes, at most 8, for the message.
  case unknown(firstBytes: [UInt8])

  /// Recognises a format by its signature.
  ///
  /// A PNG whose signature was damaged (by a text-mode transfer, usually) is still called PNG, so
  /// that the decoder can say what is wrong with it. Edge cases: no bytes at all are `.unknown([])`.
  package static func detect(_ bytes: UnsafeRawBufferPointer) -> ImageFormat {
    for (offset, signature, format) in signatures where has(signature, in: bytes, at: offset) {
      return format
    }
    if has("\u{89}", in: bytes, at: 0), has("\u{D}\u{A}\u{1A}\u{A}", in: bytes, at: 4) {
      return .png
    }
    if has("RIFF", in: bytes, at: 0), has("WEBP", in: bytes, at: 8) { return .webp }
    if has("ftyp", in: bytes, at: 4) {
      for brand in ["avif", "avis"] where has(brand, in: bytes, at: 8) { return .avif }
      for brand in ["heic", "heix", "hevc", "hevx", "heim", "heis", "mif1", "msf1"]
      where has(brand, in: bytes, at: 8) { return .heic }
    }
    return .unknown(firstBytes: Array(bytes.prefix(8)))
  }

  /// Whether ``ImageDecoder`` decodes the format.
  package var isSupported: Bool { self == .jpeg || self == .png }

  /// The format's usual name; for unknown bytes, what they begin with.
  package var description: String {
    switch self {
    case .jpeg: "JPEG"
    case .png: "PNG"
    case .gif: "GIF"
    case .webp: "WebP"
    case .bmp: "BMP"
    case .tiff: "TIFF"
    case .heic: "HEIC"
    case .avif: "AVIF"
    case .jpegXL: "JPEG XL"
    case .jpeg2000: "JPEG 2000"
    case .pdf: "PDF"
    case .unknown(let bytes): "unknown format (starts with \(ImageFormat.quote(bytes)))"
    }
  }

  private static let signatures: [(Int, String, ImageFormat)] = [
    (0, "\u{FF}\u{D8}", .jpeg), (1, "PNG", .png), (0, "GIF8", .gif),
    (0, "II*\u{0}", .tiff), (0, "MM\u{0}*", .tiff), (0, "II+\u{0}", .tiff),
    (0, "\u{FF}\u{0A}", .jpegXL), (4, "JXL \u{0D}\u{0A}", .jpegXL),
    (4, "jP  \u{0D}\u{0A}", .jpeg2000),
    (0, "%PDF", .pdf), (0, "BM", .bmp),
  ]

  // Signatures are written as text of code points below 256, one a byte.
  private static func has(_ text: String, in bytes: UnsafeRawBufferPointer, at offset: Int) -> Bool
  {
    let expected = text.unicodeScalars
    guard bytes.count >= offset + expected.count else { return false }
    return zip(expected, bytes[offset...]).allSatisfy { $0.value == UInt32($1) }
  }

  private static func quote(_ bytes: [UInt8]) -> String {
    let printable = !bytes.isEmpty && bytes.allSatisfy { $0 >= 0x20 && $0 < 0x7F }
    if printable { return "'" + String(decoding: bytes, as: UTF8.self) + "'" }
    let digits = Array("0123456789ABCDEF")
    return bytes.map { String([digits[Int($0 >> 4)], digits[Int($0 & 15)]]) }
      .joined(separator: " ")
  }
}
