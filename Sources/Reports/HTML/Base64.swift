// SPDX-License-Identifier: Apache-2.0

/// Images inside the page.
enum Base64 {
  private static let alphabet = Array(
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)

  /// The standard encoding with padding (RFC 4648, section 4).
  static func encode(_ bytes: [UInt8]) -> String {
    var text: [UInt8] = []
    text.reserveCapacity((bytes.count + 2) / 3 * 4)
    for start in stride(from: 0, to: bytes.count, by: 3) {
      let part = bytes[start..<min(start + 3, bytes.count)]
      let word = part.reduce(0) { $0 << 8 | Int($1) } << ((3 - part.count) * 8)
      for index in 0..<4 {
        let isPadding = index > part.count
        text.append(isPadding ? UInt8(ascii: "=") : alphabet[word >> (18 - 6 * index) & 63])
      }
    }
    return String(decoding: text, as: UTF8.self)
  }

  /// A `data:` address of a PNG or JPEG file, told by its first bytes; nil for anything else.
  static func imageAddress(_ bytes: [UInt8]) -> Markup? {
    let kinds: [(start: [UInt8], type: String)] = [
      ([0x89, 0x50, 0x4E, 0x47], "png"), ([0xFF, 0xD8, 0xFF], "jpeg"),
    ]
    guard let kind = kinds.first(where: { bytes.starts(with: $0.start) }) else { return nil }
    return Markup(trusted: "data:image/\(kind.type);base64," + encode(bytes))
  }
}
