// SPDX-License-Identifier: Apache-2.0

/// Text from outside (file names, class names) made safe to look at, on one line.
///
/// A file name may hold newlines, terminal control sequences or marks that reverse the direction of
/// what follows it ("photo\u{202E}gpj.exe"). Each such scalar is replaced by a visible escape.
package enum VisibleText {
  /// `text` with every control and direction mark written out: `\n`, `\t`, `\x1b`, `\u{202e}`.
  ///
  /// Everything else stays, so right-to-left scripts and emoji remain readable. A backslash is not
  /// doubled: the result is for people and cannot be turned back.
  package static func escape(_ text: String) -> String {
    guard text.unicodeScalars.contains(where: isHidden) else { return text }
    var result = ""
    for scalar in text.unicodeScalars {
      if isHidden(scalar) {
        result += name(of: scalar)
      } else {
        result.unicodeScalars.append(scalar)
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

  private static func isHidden(_ scalar: Unicode.Scalar) -> Bool {
    switch scalar.value {
    case 0..<0x20, 0x7F...0x9F, 0x2028, 0x2029, 0xFEFF, 0x200B: true
    case 0x061C, 0x200E, 0x200F, 0x202A...0x202E, 0x2066...0x2069: true
    case 0xFFF9...0xFFFB, 0xE0000...0xE007F: true
    case let value: value & 0xFFFE == 0xFFFE || (0xFDD0...0xFDEF).contains(value)
    }
  }

  private static func name(of scalar: Unicode.Scalar) -> String {
    switch scalar {
    case "\n": return "\\n"
    case "\t": return "\\t"
    case "\r": return "\\r"
    default:
      let digits = String(scalar.value, radix: 16)
      guard scalar.value < 0x100 else { return "\\u{\(digits)}" }
      return "\\x" + (digits.count < 2 ? "0" : "") + digits
    }
  }
}
