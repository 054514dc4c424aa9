// SPDX-License-Identifier: Apache-2.0

import ThawCheckpoints

/// A mapping or a list as Python prints it: `{0: 'zebra', 1: 'ant'}`, `['zebra', 'ant']`.
///
/// Ultralytics writes names of classes so into the metadata of an ONNX file. Nothing is run: numbers, texts
/// in quotes and the signs between them are all that is read.
enum PythonNames {
  /// The same as JSON; nil for anything else.
  static func json(_ text: String) -> JSONValue? {
    var rest = text[...]
    skipBlanks(&rest)
    guard let opening = rest.popFirst(), "{[(".contains(opening) else { return nil }
    let closing: Character = opening == "{" ? "}" : opening == "[" ? "]" : ")"
    var members: [JSONMember] = []
    var values: [JSONValue] = []
    while true {
      skipBlanks(&rest)
      if rest.first == closing { break }
      guard let first = scalar(&rest) else { return nil }
      skipBlanks(&rest)
      if opening == "{" {
        guard rest.popFirst() == ":" else { return nil }
        skipBlanks(&rest)
        guard let value = scalar(&rest) else { return nil }
        members.append(JSONMember(first.text ?? first.integer.map(String.init) ?? "", value))
        skipBlanks(&rest)
      } else {
        values.append(first)
      }
      guard rest.first == "," else { break }
      rest.removeFirst()
    }
    guard rest.popFirst() == closing else { return nil }
    skipBlanks(&rest)
    guard rest.isEmpty else { return nil }
    return opening == "{" ? .object(members) : .array(values)
  }

  private static func skipBlanks(_ text: inout Substring) {
    text = text.drop(while: \.isWhitespace)
  }

  /// A whole number or a text in single or double quotes.
  private static func scalar(_ text: inout Substring) -> JSONValue? {
    guard let first = text.first else { return nil }
    guard first == "'" || first == "\"" else {
      let digits = text.prefix { ("0"..."9").contains($0) }
      text = text.dropFirst(digits.count)
      return Int(digits).map(JSONValue.integer)
    }
    text.removeFirst()
    var value = ""
    while let next = text.popFirst() {
      if next == first { return .string(value) }
      if next == "\\" {
        // Other escapes than of a quote or a backslash do not occur in names.
        guard let escaped = text.popFirst(), "'\"\\".contains(escaped) else { return nil }
        value.append(escaped)
      } else {
        value.append(next)
      }
    }
    return nil
  }
}
