// SPDX-License-Identifier: Apache-2.0

/// Text broken between words.
package enum TextWrap {
  /// The lines of `text`, none wider than `width` columns unless a word is.
  ///
  /// - Parameter hanging: blanks before every line but the first.
  package static func lines(_ text: String, width: Int, hanging: Int = 0) -> [String] {
    var (lines, line): ([String], String) = ([], "")
    for word in text.split(separator: " ", omittingEmptySubsequences: false) {
      if line.isEmpty {
        line = String(word)
      } else if DisplayWidth.columns(of: line) + 1 + DisplayWidth.columns(of: String(word)) <= width
      {
        line += " " + word
      } else {
        lines.append(line)
        line = String(repeating: " ", count: hanging) + word
      }
    }
    return lines + [line]
  }

  /// The same, as one text.
  package static func text(_ text: String, width: Int, hanging: Int = 0) -> String {
    lines(text, width: width, hanging: hanging).joined(separator: "\n")
  }
}
