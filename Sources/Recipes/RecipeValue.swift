// SPDX-License-Identifier: Apache-2.0

import ThawConfiguration

/// How the value of a key is written: in a recipe, on the command line and in the documentation.
package struct RecipeValue<Value>: Sendable {
  /// What may stand there, for the documentation (Markdown).
  let type: String
  /// The words to choose from, for completions; empty when there are too many.
  let words: [String]
  /// Takes the value under a name; what is absent leaves the target as it is.
  let read: @Sendable (inout YAMLFields, String, inout Value) throws -> Void
  /// As it stands in a recipe, on one line; nil to leave the key out.
  let write: @Sendable (Value) -> String?
  /// The default in the documentation, where a recipe writes it otherwise.
  let document: @Sendable (Value) -> String?
  /// The command line's way of writing it, as YAML; nil when its text is the value.
  let yaml: @Sendable (String) -> String?

  init(
    type: String, words: [String] = [],
    read: @escaping @Sendable (inout YAMLFields, String, inout Value) throws -> Void,
    write: @escaping @Sendable (Value) -> String?,
    document: (@Sendable (Value) -> String?)? = nil,
    yaml: @escaping @Sendable (String) -> String? = { _ in nil }
  ) {
    self.type = type
    self.words = words
    self.read = read
    self.write = write
    self.document = document ?? write
    self.yaml = yaml
  }
}

extension RecipeValue where Value == String {
  /// Any text.
  static var text: RecipeValue {
    RecipeValue(
      type: "text", read: { try $0.read($1, into: &$2) },
      write: { text in
        "\"" + text.replacing("\\", with: "\\\\").replacing("\"", with: "\\\"") + "\""
      }, document: { $0 })
  }
}

extension RecipeValue where Value == String {
  /// Any text; a recipe is written without it when there is none.
  static var optionalText: RecipeValue {
    RecipeValue(
      type: "text, or `none`",
      read: {
        try $0.read($1, into: &$2)
        if $2 == "none" { $2 = "" }
      },
      write: { $0.isEmpty ? nil : RecipeValue.text.write($0) }, document: { _ in "none" },
      yaml: { RecipeValue.text.write($0) })
  }
}

extension RecipeValue where Value == UInt64 {
  static var seed: RecipeValue {
    RecipeValue(
      type: "whole number", read: { try $0.read($1, into: &$2) }, write: { $0.description })
  }
}

extension RecipeValue where Value == Bool {
  /// `true` or `false`.
  static var truth: RecipeValue {
    RecipeValue(
      type: "`true`, `false`", read: { try $0.read($1, into: &$2) }, write: { $0.description })
  }
}

extension RecipeValue where Value == Int {
  /// A whole number within bounds.
  static func whole(_ range: ClosedRange<Int>) -> RecipeValue {
    RecipeValue(
      type: "whole number, \(range.lowerBound) to \(range.upperBound)",
      read: { try $0.read($1, into: &$2, in: range) }, write: { $0.description })
  }
}

extension RecipeValue where Value == Int? {
  /// A whole number within bounds, or nothing.
  ///
  /// - Parameters:
  ///   - absent: the word for nothing in the documentation; both `auto` and `none` are read.
  ///   - zero: whether the command line's 0 means nothing.
  static func whole(
    _ range: ClosedRange<Int>, or absent: String, zero: Bool = false
  ) -> RecipeValue {
    RecipeValue(
      type: "whole number, \(range.lowerBound) to \(range.upperBound), or `\(absent)`",
      read: { try $0.read($1, into: &$2, in: range) },
      write: { $0?.description ?? "auto" }, document: { $0?.description ?? absent },
      yaml: { zero && $0 == "0" ? absent : nil })
  }
}

extension RecipeValue where Value == Double {
  /// A number within bounds.
  static func number(_ range: ClosedRange<Double>) -> RecipeValue {
    RecipeValue(
      type: range.documented, read: { try $0.read($1, into: &$2, in: range) },
      write: { $0.description }, document: { $0.documented })
  }
}

extension RecipeValue where Value == Double? {
  /// A number within bounds, or nothing; see `whole(_:or:zero:)`.
  static func number(_ range: ClosedRange<Double>, or absent: String) -> RecipeValue {
    RecipeValue(
      type: "\(range.documented), or `\(absent)`",
      read: { try $0.read($1, into: &$2, in: range) },
      write: { $0?.description ?? "auto" }, document: { $0?.documented ?? absent })
  }
}

extension RecipeValue where Value == [Int] {
  /// A list of whole numbers within bounds; the command line separates them by commas.
  static func wholes(_ range: ClosedRange<Int>) -> RecipeValue {
    RecipeValue(
      type: "list of whole numbers, \(range.lowerBound) to \(range.upperBound)",
      read: { try $0.read($1, into: &$2, in: range) }, write: { $0.description },
      document: { $0.isEmpty ? "none" : $0.description }, yaml: { "[\($0)]" })
  }
}

extension RecipeValue where Value == [String] {
  /// A list of words.
  static var wordList: RecipeValue {
    RecipeValue(
      type: "list of names", read: { try $0.read($1, words: &$2) },
      write: { words in "[" + words.map { "\"\($0)\"" }.joined(separator: ", ") + "]" },
      document: { $0.isEmpty ? "none" : $0.joined(separator: ", ") })
  }
}

extension RecipeValue where Value: RawRepresentable<String> & CaseIterable & Sendable {
  /// One of a few words; a recipe is written without the usual one, as before there was the key.
  static func choice(unlessUsual usual: Value) -> RecipeValue {
    let words = Self.choice
    return RecipeValue(
      type: words.type, words: words.words, read: words.read,
      write: { $0.rawValue == usual.rawValue ? nil : $0.rawValue }, document: { $0.rawValue })
  }

  /// One of a few words.
  static var choice: RecipeValue {
    RecipeValue(
      type: Value.allCases.map { "`\($0.rawValue)`" }.joined(separator: ", "),
      words: Value.allCases.map(\.rawValue), read: { try $0.read($1, into: &$2) },
      write: { $0.rawValue })
  }
}

extension ClosedRange<Double> {
  fileprivate var documented: String { "\(lowerBound.documented) to \(upperBound.documented)" }
}

extension Double {
  /// For reading: `0.9`, `1`, `1e-8`.
  fileprivate var documented: String {
    let text = description.replacing("e-0", with: "e-")
    return text.hasSuffix(".0") ? String(text.dropLast(2)) : text
  }
}
