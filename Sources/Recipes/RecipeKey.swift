// SPDX-License-Identifier: Apache-2.0

import ThawConfiguration
package import ThawConsole

/// One key of a recipe, declared once: its name, where its value is kept, what values it takes, what
/// it means, and the command's option for it. Reading and writing recipes, the options with their
/// help and their bounds, and the tables of Documentation/recipes.md all follow from it.
package struct RecipeKey<Section>: Sendable {
  /// The name in the file.
  package let name: String
  /// What it means (Markdown, whole sentences).
  package let text: String
  /// What values it takes (Markdown).
  package let type: String
  /// The words to choose from; empty when there are too many.
  package let words: [String]
  /// The command's option without dashes; nil when it has none.
  package let option: String?
  /// What only the command's help says: how the option writes what a recipe writes otherwise.
  package let optionText: String?
  let read: @Sendable (inout YAMLFields, String, inout Section) throws -> Void
  /// The value in the file; nil when it is not written.
  let write: @Sendable (Section) -> String?
  /// The value in the documentation.
  let document: @Sendable (Section) -> String?
  let yaml: @Sendable (String) -> String?
  /// Why the key has no effect beside the other keys of its section; nil when it has one.
  let idle: @Sendable (Section) -> String?

  /// A key whose value is kept at `path`.
  ///
  /// - Parameter isWritten: whether a recipe that is written has it.
  init<Value>(
    _ name: String, _ path: WritableKeyPath<Section, Value> & Sendable,
    _ value: RecipeValue<Value>, option: String? = nil, optionText: String? = nil,
    idle: @escaping @Sendable (Section) -> String? = { _ in nil }, _ text: String
  ) {
    self.init(
      name: name, text: text, type: value.type, words: value.words, option: option,
      optionText: optionText,
      read: { try value.read(&$0, $1, &$2[keyPath: path]) },
      write: { value.write($0[keyPath: path]) }, document: { value.document($0[keyPath: path]) },
      yaml: value.yaml, idle: idle)
  }

  /// A key, or an option without one, whose value is not kept as it is.
  ///
  /// - Parameters:
  ///   - start: where reading starts; only a value that is there is passed on to `change`.
  ///   - write: what the file, or a remark about an option, shows.
  init<Value: Sendable>(
    _ name: String, from start: Value, _ value: RecipeValue<Value>, option: String? = nil,
    optionText: String? = nil, idle: @escaping @Sendable (Section) -> String? = { _ in nil },
    _ text: String, write: @escaping @Sendable (Section) -> String? = { _ in nil },
    change: @escaping @Sendable (inout Section, Value) -> Void
  ) {
    self.init(
      name: name, text: text, type: value.type, words: value.words, option: option,
      optionText: optionText,
      read: { fields, name, section in
        var found = start
        let isThere = fields.kind(of: name) != .absent
        try value.read(&fields, name, &found)
        if isThere { change(&section, found) }
      }, write: write, document: { _ in value.document(start) }, yaml: value.yaml, idle: idle)
  }

  private init(
    name: String, text: String, type: String, words: [String], option: String?,
    optionText: String?,
    read: @escaping @Sendable (inout YAMLFields, String, inout Section) throws -> Void,
    write: @escaping @Sendable (Section) -> String?,
    document: @escaping @Sendable (Section) -> String?,
    yaml: @escaping @Sendable (String) -> String?, idle: @escaping @Sendable (Section) -> String?
  ) {
    self.name = name
    self.text = text
    self.type = type
    self.words = words
    self.option = option
    self.optionText = optionText
    self.read = read
    self.write = write
    self.document = document
    self.yaml = yaml
    self.idle = idle
  }

  /// The same key as a part of what holds the section.
  ///
  /// - Parameter other: more reasons to have no effect, which only the whole knows.
  func within<Whole>(
    _ path: WritableKeyPath<Whole, Section> & Sendable,
    idle other: @escaping @Sendable (Whole) -> String? = { _ in nil }
  ) -> RecipeKey<Whole> {
    RecipeKey<Whole>(
      name: name, text: text, type: type, words: words, option: option, optionText: optionText,
      read: { [read] in try read(&$0, $1, &$2[keyPath: path]) },
      write: { [write] in write($0[keyPath: path]) },
      document: { [document] in document($0[keyPath: path]) }, yaml: yaml,
      idle: { [idle] in idle($0[keyPath: path]) ?? other($0) })
  }
}

extension RecipeKey {
  /// Its value in `section` for the documentation.
  package func documented(of section: Section) -> String { document(section) ?? "" }

  /// Why the key would have no effect beside the other keys of `section`; nil when it has one.
  package func reasonForNoEffect(in section: Section) -> String? { idle(section) }

  /// Help for the option: the meaning without Markdown, how the value is written, and the words to
  /// choose from.
  package var help: String {
    let choices = words.isEmpty ? nil : "(\(words.joined(separator: ", ")))"
    return [text.replacing("`", with: ""), optionText, choices].compactMap(\.self)
      .joined(separator: " ")
  }

  /// Takes the key from a file.
  func read(_ fields: inout YAMLFields, into section: inout Section) throws {
    try read(&fields, name, &section)
  }

  /// Takes what the command line says.
  ///
  /// - Throws: ``PipelineError/usage(_:)``, which names the option and what it takes.
  package func set(_ argument: String, in section: inout Section) throws(PipelineError) {
    let option = "--\(option ?? name)"
    // Most often a shell variable that is not set.
    guard !argument.isEmpty else { throw .usage("\(option) has no value.") }
    let yaml = yaml(argument)
    do {
      var fields = try YAMLFields(
        file: "options", setting: option, value: yaml ?? argument, isYAML: yaml != nil)
      try read(&fields, option, &section)
      try fields.finish()
    } catch let error as ConfigurationError {
      throw .usage(error.reason)
    } catch { throw .usage("\(option) \(argument): \(error)") }
  }
}
