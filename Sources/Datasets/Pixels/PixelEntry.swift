// SPDX-License-Identifier: Apache-2.0

import ThawFiles
import ThawImages

/// A photo in a ``PixelFile``: its header as a value.
///
/// 96 bytes, numbers little-endian: 8 of magic, 32 of the content's hash, width, height, those of the
/// original, form and denominator as 4 bytes each, 8 of the pixels' checksum, 16 of zeros and 8 of the
/// checksum of all that.
struct PixelEntry {
  static let headerSize = 96
  private static let magic = Array("thawphot".utf8)

  let content: String
  let size: PixelSize
  let original: PixelSize
  let form: PhotoForm
  let scaleDenominator: Int
  let checksum: UInt64
  /// Where its header begins.
  let start: Int

  /// Where its pixels begin.
  var offset: Int { start + Self.headerSize }
  /// Where the next photo begins.
  var end: Int { offset + size.width * size.height * 3 }

  /// Nil when the content's hash is none.
  init?(_ image: DecodedImage, content: String, start: Int) {
    guard hexadecimalBytes(content)?.count == 32 else { return nil }
    self.content = content
    self.start = start
    size = image.image.size
    original = image.originalSize
    form = image.form
    scaleDenominator = image.scaleDenominator
    checksum = image.image.pixels.withUnsafeBytes { Checksum.of($0) }
  }

  /// Nil unless the header is whole and says something that can be.
  init?(header: [UInt8], start: Int) {
    guard header.count == Self.headerSize, header.starts(with: Self.magic),
      Self.number(header, 88, bytes: 8) == Checksum.of(Array(header[..<88]))
    else { return nil }
    func whole(_ index: Int) -> Int { Int(Self.number(header, 40 + 4 * index, bytes: 4)) }
    guard let form = PhotoForm(rawValue: UInt32(whole(4))), [1, 2, 4, 8].contains(whole(5)),
      (0..<4).allSatisfy({ (1...1 << 20).contains(whole($0)) })
    else { return nil }
    content = header[8..<40].map { byte in
      let digits = String(byte, radix: 16)
      return digits.count == 1 ? "0" + digits : digits
    }.joined()
    size = PixelSize(width: whole(0), height: whole(1))
    original = PixelSize(width: whole(2), height: whole(3))
    self.form = form
    scaleDenominator = whole(5)
    checksum = Self.number(header, 64, bytes: 8)
    self.start = start
  }

  /// The header's bytes.
  var header: [UInt8] {
    var bytes = Self.magic + (hexadecimalBytes(content) ?? [])
    let numbers = [
      size.width, size.height, original.width, original.height, Int(form.rawValue),
      scaleDenominator,
    ]
    for number in numbers { bytes += Self.bytes(UInt64(number), count: 4) }
    bytes += Self.bytes(checksum, count: 8)
    bytes += [UInt8](repeating: 0, count: 88 - bytes.count)
    return bytes + Self.bytes(Checksum.of(bytes), count: 8)
  }

  /// What a file begins with: the format's name and a hash of what its pixels depend on.
  static func fileHeader(key: String) -> [UInt8] {
    var hash = SHA256()
    hash.update(key)
    return Array("thawpix1".utf8) + (hexadecimalBytes(hash.hexadecimalDigest) ?? [])
  }

  private static func bytes(_ number: UInt64, count: Int) -> [UInt8] {
    (0..<count).map { UInt8(truncatingIfNeeded: number >> (8 * UInt64($0))) }
  }

  private static func number(_ header: [UInt8], _ offset: Int, bytes: Int) -> UInt64 {
    (0..<bytes).reduce(0) { $0 | UInt64(header[offset + $1]) << (8 * UInt64($1)) }
  }
}
