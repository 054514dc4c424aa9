// SPDX-License-Identifier: Apache-2.0

/// How many columns text takes on a terminal.
///
/// East Asian wide characters and emoji take two, combining marks none; ambiguous ones take one.
/// - Source: Unicode Standard Annex 11, the wide blocks.
package enum DisplayWidth {
  /// Columns of `text`, which must not hold control characters (see ``VisibleText``).
  package static func columns(of text: String) -> Int {
    if text.utf8.allSatisfy({ $0 < 0x80 }) { return text.utf8.count }
    return text.reduce(0) { $0 + columns(of: $1) }
  }

  /// `text`, or its beginning and an ellipsis, in at most `limit` columns.
  package static func truncated(_ text: String, to limit: Int) -> String {
    guard columns(of: text) > limit else { return text }
    guard limit > 0 else { return "" }
    var (result, used) = ("", 0)
    for character in text {
      let width = columns(of: character)
      if used + width > limit - 1 { break }
      result.append(character)
      used += width
    }
    return result + "…"
  }

  private static func columns(of character: Character) -> Int {
    let scalars = character.unicodeScalars
    // An emoji presentation selector makes even a narrow symbol wide.
    if scalars.contains("\u{FE0F}") { return 2 }
    guard let first = scalars.first else { return 0 }
    if first.properties.isEmojiPresentation || isWide(first.value) { return 2 }
    switch first.properties.generalCategory {
    case .nonspacingMark, .enclosingMark, .format, .control: return 0
    default: return 1
    }
  }

  private static func isWide(_ value: UInt32) -> Bool {
    switch value {
    case 0x1100...0x115F, 0x2E80...0x303E, 0x3041...0x33FF, 0x3400...0x4DBF, 0x4E00...0x9FFF,
      0xA000...0xA4CF, 0xA960...0xA97F, 0xAC00...0xD7A3, 0xF900...0xFAFF, 0xFE30...0xFE6F,
      0xFF00...0xFF60, 0xFFE0...0xFFE6, 0x1F300...0x1F64F, 0x1F900...0x1F9FF, 0x20000...0x3FFFD:
      true
    default: false
    }
  }
}
