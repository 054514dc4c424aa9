// SPDX-License-Identifier: Apache-2.0

/// Text from outside (names of files, classes, layers, tensors) made safe to look at.
///
/// A name may hold line ends, terminal control sequences or marks that reverse the direction of
/// what follows ("photo\u{202E}gpj.exe"). Each such scalar is replaced by a visible escape. This is
/// done where text leaves the program, in one place for each kind: the console and the command's
/// output for a terminal, markup for a page. JSON and CSV quote in their own ways.
package enum VisibleText {
  /// `text` on one line, every control and direction mark written out: `\n`, `\t`, `\x1b`,
  /// `\u{202e}`.
  ///
  /// Everything else stays, so right-to-left scripts and emoji remain readable. A backslash is not
  /// doubled: the result is for people, cannot be turned back, and escaping it again changes nothing.
  package static func escape(_ text: String) -> String { escape(text) { isHidden($0) } }

  /// The same for finished text of several lines: line feeds stay.
  package static func escapeLines(_ text: String) -> String {
    escape(text) { isHidden($0) && $0 != "\n" }
  }

  /// The bytes of a file's name, which need not be UTF-8, as one line that no other name has.
  ///
  /// Bytes outside UTF-8 become `\xff`, a backslash becomes `\\`. Manifests keep classes by these
  /// names, so what is escaped here never changes: controls and the marks that reorder text.
  package static func escape(fileName bytes: some Collection<UInt8>) -> String {
    // Nearly all names are like this.
    if bytes.withContiguousStorageIfAvailable({ $0.allSatisfy(isPlain) })
      ?? bytes.allSatisfy(isPlain)
    {
      return String(decoding: bytes, as: UTF8.self)
    }
    var result = ""
    var rest = Array(bytes)[...]
    while let first = rest.first {
      var (iterator, decoder) = (rest.makeIterator(), UTF8())
      if case .scalarValue(let scalar) = decoder.decode(&iterator) {
        let isShown = scalar != "\\" && !isControl(scalar) && !reordersText(scalar)
        result += isShown ? String(scalar) : name(of: scalar)
        rest.removeFirst(UTF8.width(scalar))
      } else {
        result += "\\x" + hexadecimal(first)
        rest.removeFirst()
      }
    }
    return result
  }

  /// `text` cut in the middle to at most `limit` characters, with an ellipsis.
  ///
  /// The two ends of a path or class name are what tells it from its neighbours. A limit below 2
  /// leaves the ellipsis alone.
  package static func shortened(_ text: String, to limit: Int) -> String {
    let characters = Array(text)
    guard characters.count > limit else { return text }
    let kept = max(limit - 1, 0)
    return String(characters.prefix((kept + 1) / 2)) + "…" + String(characters.suffix(kept / 2))
  }

  /// Whether a scalar acts on what shows it, or cannot be seen: controls, direction marks, line
  /// separators, zero-width spaces, tags and non-characters.
  package static func isHidden(_ scalar: Unicode.Scalar) -> Bool {
    if isControl(scalar) || reordersText(scalar) { return true }
    switch scalar.value {
    case 0x061C, 0xFEFF, 0x200B, 0xFFF9...0xFFFB, 0xE0000...0xE007F: return true
    case let value: return value & 0xFFFE == 0xFFFE || (0xFDD0...0xFDEF).contains(value)
    }
  }

  private static func isControl(_ scalar: Unicode.Scalar) -> Bool {
    scalar.value < 0x20 || (0x7F...0x9F).contains(scalar.value)
  }

  private static func isPlain(_ byte: UInt8) -> Bool {
    byte >= 0x20 && byte < 0x7F && byte != UInt8(ascii: "\\")
  }

  /// Marks that change the direction of text or end a line.
  private static func reordersText(_ scalar: Unicode.Scalar) -> Bool {
    switch scalar.value {
    case 0x200E, 0x200F, 0x2028...0x202E, 0x2066...0x2069: true
    default: false
    }
  }

  private static func escape(_ text: String, where hides: (Unicode.Scalar) -> Bool) -> String {
    guard text.unicodeScalars.contains(where: hides) else { return text }
    var result = ""
    for scalar in text.unicodeScalars {
      if hides(scalar) { result += name(of: scalar) } else { result.unicodeScalars.append(scalar) }
    }
    return result
  }

  private static func name(of scalar: Unicode.Scalar) -> String {
    switch scalar {
    case "\n": "\\n"
    case "\t": "\\t"
    case "\r": "\\r"
    case "\\": "\\\\"
    case _ where scalar.value < 0x80: "\\x" + hexadecimal(UInt8(scalar.value))
    default: "\\u{\(String(scalar.value, radix: 16))}"
    }
  }
}
