// SPDX-License-Identifier: Apache-2.0

/// The format of an image file, found in its first bytes and never in its name.
package enum ImageFormat: Hashable, Sendable, CustomStringConvertible {
  /// JPEG, decoded.
  case jpeg
  /// PNG, decoded (an animated one to its default image).
  case png
  /// WebP, decoded (an animated one to its first frame).
  case webp
  /// GIF, decoded to its first frame.
  case gif
  /// BMP, decoded.
  case bmp
  /// TIFF, decoded to its first page.
  case tiff
  /// HEIC or HEIF, decoded to its primary image.
  case heic
  /// AVIF, decoded to its primary image.
  case avif
  /// Known by signature but not decoded.
  case jpegXL, jpeg2000, pdf, pnm, icon, photoshop
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
    if has("ftyp", in: bytes, at: 4), let format = brand(in: bytes) { return format }
    return .unknown(firstBytes: Array(bytes.prefix(8)))
  }

  /// The format that a file of ISO's base media says it is: by its major brand, or where that is a
  /// general one by those it is compatible with.
  private static func brand(in bytes: UnsafeRawBufferPointer) -> ImageFormat? {
    guard bytes.count >= 16 else { return nil }
    let size = bytes[..<4].reduce(0) { $0 << 8 | Int($1) }
    let end = min(size, bytes.count, 64)
    var general = false
    for at in [8] + Array(stride(from: 16, to: end - 3, by: 4)) {
      for brand in ["avif", "avis"] where has(brand, in: bytes, at: at) { return .avif }
      for brand in ["heic", "heix", "hevc", "hevx", "heim", "heis"]
      where has(brand, in: bytes, at: at) { return .heic }
      general = general || has("mif1", in: bytes, at: at) || has("msf1", in: bytes, at: at)
    }
    return general ? .heic : nil
  }

  /// Whether ``ImageDecoder`` decodes the format, with its library there.
  package var isSupported: Bool {
    switch self {
    case .jpeg, .png, .webp, .gif, .bmp, .tiff, .heic, .avif: true
    case .jpegXL, .jpeg2000, .pdf, .pnm, .icon, .photoshop, .unknown: false
    }
  }

  /// The formats that this build decodes.
  package static var decodable: [ImageFormat] {
    let formats: [ImageFormat] = [.jpeg, .png, .webp, .gif, .bmp, .tiff, .heic, .avif]
    return formats.filter { format in
      do throws(ImageError) {
        guard let codec = ImageCodec(format) else { return true }
        _ = try codec.probe(UnsafeRawBufferPointer(start: nil, count: 0), DecodeOptions())
        return true
      } catch { return error != .missingLibrary(format) }
    }
  }

  /// A command that makes a JPEG or PNG of such a file; nil for formats that need none.
  package var conversion: String? {
    switch self {
    case .jpeg, .png, .bmp, .unknown: nil
    case .webp: "dwebp IN.webp -o OUT.png"
    case .gif: "convert 'IN.gif[0]' OUT.png"
    case .tiff: "convert 'IN.tif[0]' OUT.png"
    case .heic, .avif: "heif-convert IN OUT.jpg"
    case .jpegXL: "djxl IN.jxl OUT.png"
    case .jpeg2000: "opj_decompress -i IN.jp2 -o OUT.png"
    case .pdf: "pdftoppm -png IN.pdf OUT"
    case .pnm: "pnmtopng IN.ppm > OUT.png"
    case .icon: "convert 'IN.ico[0]' OUT.png"
    case .photoshop: "convert 'IN.psd[0]' OUT.png"
    }
  }

  /// Debian's package of the library that decodes the format; nil where none is optional.
  var library: String? {
    switch self {
    case .webp: "libwebp-dev"
    case .gif: "libgif-dev"
    case .tiff: "libtiff-dev"
    case .heic, .avif: "libheif-dev"
    default: nil
    }
  }

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
    case .pnm: "PNM (PPM, PGM or PBM)"
    case .icon: "icon (ICO)"
    case .photoshop: "Photoshop document (PSD)"
    case .unknown(let bytes): "unknown format (starts with \(ImageFormat.quote(bytes)))"
    }
  }

  private static let signatures: [(Int, String, ImageFormat)] =
    [
      (0, "\u{FF}\u{D8}", .jpeg), (1, "PNG", .png), (0, "GIF8", .gif),
      (0, "II*\u{0}", .tiff), (0, "MM\u{0}*", .tiff), (0, "II+\u{0}", .tiff),
      (0, "\u{FF}\u{0A}", .jpegXL), (4, "JXL \u{0D}\u{0A}", .jpegXL),
      (4, "jP  \u{0D}\u{0A}", .jpeg2000),
      (0, "%PDF", .pdf), (0, "BM", .bmp), (0, "\u{0}\u{0}\u{1}\u{0}", .icon),
      (0, "8BPS", .photoshop),
    ]
    + "123456".flatMap { digit in
      ["\n", " ", "\r", "\t"].map { (0, "P\(digit)\($0)", ImageFormat.pnm) }
    }

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
