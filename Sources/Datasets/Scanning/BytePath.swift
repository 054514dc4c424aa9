// SPDX-License-Identifier: Apache-2.0

import Glibc
package import SystemPackage
import ThawFiles

/// A path as the bytes that the file system knows, ordered and compared byte by byte.
///
/// Two spellings of one letter (NFC and NFD) are two paths, as on disk, although Swift strings take
/// them for equal; a name that is not UTF-8 is a path like any other. In JSON it is a string when it
/// is UTF-8, otherwise `{"bytes": "cat/%ff%fe.jpg"}` with percent escapes; both read back exactly.
package struct BytePath: Sendable, Hashable, Comparable, CustomStringConvertible {
  /// The bytes, without a terminating zero.
  package let bytes: [UInt8]

  /// A path of these bytes.
  package init(bytes: [UInt8]) { self.bytes = bytes }

  /// A path of the UTF-8 of `text`.
  package init(_ text: String) { bytes = Array(text.utf8) }

  /// The bytes of `path`.
  package init(_ path: FilePath) {
    bytes = path.withPlatformString { Array(UnsafeRawBufferPointer(start: $0, count: strlen($0))) }
  }

  /// The same path for system calls.
  package var filePath: FilePath {
    (bytes.map(CChar.init(bitPattern:)) + [0]).withUnsafeBufferPointer { buffer in
      buffer.baseAddress.map { FilePath(platformString: $0) } ?? FilePath()
    }
  }

  /// This path below `root`.
  package func resolved(in root: FilePath) -> FilePath { root.pushing(filePath) }

  /// One printable, harmless line; see `FilePath.displayed`.
  package var description: String { VisibleText.escape(fileName: bytes) }

  /// Byte order.
  package static func < (left: BytePath, right: BytePath) -> Bool {
    left.bytes.lexicographicallyPrecedes(right.bytes)
  }

  /// Whether this names something below its root: not empty, not absolute, no `.`, `..` or empty
  /// component, no zero byte.
  package var isContained: Bool {
    !bytes.isEmpty && !bytes.contains(0)
      && bytes.split(separator: 0x2F, omittingEmptySubsequences: false).allSatisfy {
        !$0.isEmpty && !$0.elementsEqual([0x2E]) && !$0.elementsEqual([0x2E, 0x2E])
      }
  }

  /// The bytes between the slashes.
  var components: [ArraySlice<UInt8>] { bytes.split(separator: 0x2F) }

  /// The last component's bytes.
  package var lastComponent: [UInt8] { Array(bytes.split(separator: 0x2F).last ?? []) }

  func appending(_ component: FilePath.Component) -> BytePath {
    let name = component.withPlatformString { BytePath(FilePath(platformString: $0)).bytes }
    return BytePath(bytes: bytes.isEmpty ? name : bytes + [0x2F] + name)
  }
}

extension BytePath: Codable {
  private enum CodingKeys: String, CodingKey { case bytes }

  /// Reads either form.
  package init(from decoder: any Decoder) throws {
    if let text = try? decoder.singleValueContainer().decode(String.self) {
      self.init(text)
      return
    }
    let container = try decoder.container(keyedBy: CodingKeys.self)
    let text = try container.decode(String.self, forKey: .bytes)
    guard let bytes = percentDecoded(text.utf8) else {
      throw DecodingError.dataCorruptedError(
        forKey: .bytes, in: container, debugDescription: "'\(text)' has a bad percent escape")
    }
    self.init(bytes: bytes)
  }

  /// Writes a string when the bytes are UTF-8, otherwise the object form.
  package func encode(to encoder: any Encoder) throws {
    if let text = String(validating: bytes, as: UTF8.self) {
      var container = encoder.singleValueContainer()
      try container.encode(text)
    } else {
      var container = encoder.container(keyedBy: CodingKeys.self)
      try container.encode(percentEncoded(bytes), forKey: .bytes)
    }
  }
}

/// Printable ASCII as it is; `%`, blanks, control characters and everything else as `%` and two
/// lower-case hexadecimal digits.
package func percentEncoded(_ bytes: some Sequence<UInt8>) -> String {
  var result: [UInt8] = []
  result.reserveCapacity(bytes.underestimatedCount)
  for byte in bytes {
    if byte > 0x20 && byte < 0x7F && byte != 0x25 {
      result.append(byte)
    } else {
      result += "%\(hexadecimal(byte))".utf8
    }
  }
  return String(decoding: result, as: UTF8.self)
}

/// The inverse of ``percentEncoded(_:)``; nil when an escape is cut or not hexadecimal.
package func percentDecoded(_ text: some Sequence<UInt8>) -> [UInt8]? {
  var result: [UInt8] = []
  var iterator = text.makeIterator()
  while let byte = iterator.next() {
    guard byte == 0x25 else {
      result.append(byte)
      continue
    }
    guard let high = iterator.next().flatMap(hexadecimalValue),
      let low = iterator.next().flatMap(hexadecimalValue)
    else { return nil }
    result.append(high << 4 | low)
  }
  return result
}

/// The bytes that an even number of lower-case hexadecimal digits stands for; nil for other text.
func hexadecimalBytes(_ text: String) -> [UInt8]? {
  let digits = Array(text.utf8)
  guard digits.count % 2 == 0, !digits.contains(where: { (0x41...0x5A).contains($0) }) else {
    return nil
  }
  var bytes: [UInt8] = []
  bytes.reserveCapacity(digits.count / 2)
  for start in stride(from: 0, to: digits.count, by: 2) {
    guard let high = hexadecimalValue(digits[start]), let low = hexadecimalValue(digits[start + 1])
    else { return nil }
    bytes.append(high << 4 | low)
  }
  return bytes
}

private func hexadecimalValue(_ digit: UInt8) -> UInt8? {
  switch digit {
  case 0x30...0x39: digit - 0x30
  case 0x61...0x66: digit - 0x61 + 10
  case 0x41...0x46: digit - 0x41 + 10
  default: nil
  }
}
