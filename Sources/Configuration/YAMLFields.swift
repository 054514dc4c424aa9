// SPDX-License-Identifier: Apache-2.0

import Yams

/// One mapping of a YAML file: hands out typed values and knows which keys nobody asked for.
///
/// Ask for every key, then call ``finish()``. A key that is absent leaves its target unchanged.
package struct YAMLFields {
  let file: String
  let section: String
  private let line: Int?
  let values: [String: Node]
  private var known: [String] = []

  /// Parses the text of `file`, whose top level must be a mapping.
  ///
  /// - Throws: ``ConfigurationError``.
  package init(file: String, text: String) throws {
    let root: Node?
    do { root = try Yams.compose(yaml: text) } catch {
      throw YAMLFields.unreadable(file, error)
    }
    try self.init(file: file, section: "", node: root ?? .mapping(Node.Mapping([])))
  }

  private static func unreadable(_ file: String, _ error: any Error) -> ConfigurationError {
    let (line, reason): (Int?, String) =
      switch error as? YamlError {
      case .scanner(_, let problem, let mark, _), .parser(_, let problem, let mark, _),
        .composer(_, let problem, let mark, _):
        (mark.line, problem)
      case .duplicatedKeysInMapping(let keys, let context):
        (context.mark.line, "'\(keys.joined(separator: "', '"))' is there twice")
      default: (nil, "\(error)")
      }
    return ConfigurationError(file, line: line, "not readable as YAML: \(reason).")
  }

  init(file: String, section: String, node: Node) throws {
    self.file = file
    self.section = section
    line = node.mark?.line
    if case .scalar(let scalar) = node, scalar.string.isEmpty {
      values = [:]
      return
    }
    guard case .mapping(let mapping) = node else {
      throw ConfigurationError(
        file, line: node.mark?.line,
        (section.isEmpty ? "the file" : "'\(section)'") + " must hold keys and values.")
    }
    var values: [String: Node] = [:]
    for (key, value) in mapping {
      guard let name = key.string else {
        throw ConfigurationError(file, line: key.mark?.line, "a key must be a word.")
      }
      values[name] = value
    }
    self.values = values
  }

  /// Reads the keys of the mapping under `name`, if it is there.
  package mutating func section(_ name: String, _ body: (inout YAMLFields) throws -> Void) throws {
    known.append(name)
    guard let node = values[name] else { return }
    var fields = try YAMLFields(file: file, section: path(of: name), node: node)
    try body(&fields)
    try fields.finish()
  }

  /// Sets `target` to the value under `name`, if it is there.
  package mutating func read(_ name: String, into target: inout String) throws {
    guard let node = value(name) else { return }
    guard let text = node.string else { throw wrong(name, node, "a word") }
    target = text
  }

  /// Sets `target` to the whole number under `name`, if it is there.
  package mutating func read(_ name: String, into target: inout Int, in range: ClosedRange<Int>)
    throws
  {
    guard let node = value(name) else { return }
    guard let number = node.int, range.contains(number) else {
      throw wrong(name, node, "a whole number from \(range.lowerBound) to \(range.upperBound)")
    }
    target = number
  }

  /// Sets `target` to the seed under `name`, if it is there.
  package mutating func read(_ name: String, into target: inout UInt64) throws {
    guard let node = value(name) else { return }
    guard let number = node.string.flatMap({ UInt64($0) }) else {
      throw wrong(name, node, "a whole number of at least 0")
    }
    target = number
  }

  /// Sets `target` to the number under `name`, if it is there.
  package mutating func read(
    _ name: String, into target: inout Double, in range: ClosedRange<Double>
  ) throws {
    guard let node = value(name) else { return }
    guard let number = node.float ?? node.string.flatMap(Double.init), range.contains(number) else {
      throw wrong(name, node, "a number from \(range.lowerBound) to \(range.upperBound)")
    }
    target = number
  }

  /// Sets `target` to the number under `name`, if it is there; `auto` and `none` mean nil.
  package mutating func read(
    _ name: String, into target: inout Double?, in range: ClosedRange<Double>
  ) throws {
    guard let node = values[name], !isAbsent(node) else { return absent(name, &target) }
    var number = 0.0
    try read(name, into: &number, in: range)
    target = number
  }

  /// Sets `target` to the whole number under `name`, if it is there; `auto` and `none` mean nil.
  package mutating func read(_ name: String, into target: inout Int?, in range: ClosedRange<Int>)
    throws
  {
    guard let node = values[name], !isAbsent(node) else { return absent(name, &target) }
    var number = 0
    try read(name, into: &number, in: range)
    target = number
  }

  /// Sets `target` to the choice under `name`, if it is there.
  package mutating func read<Choice: RawRepresentable<String> & CaseIterable>(
    _ name: String, into target: inout Choice
  ) throws {
    guard let node = value(name) else { return }
    guard let choice = node.string.flatMap(Choice.init(rawValue:)) else {
      throw wrong(name, node, Choice.allCases.map(\.rawValue).joined(separator: ", "))
    }
    target = choice
  }

  /// Sets `target` to the list of numbers under `name`, if it is there.
  ///
  /// - Parameter count: how many there must be.
  package mutating func read(_ name: String, into target: inout [Double], count: Int) throws {
    guard let node = value(name) else { return }
    let numbers = node.sequence?.compactMap(\.float)
    guard let numbers, numbers.count == count, node.sequence?.count == count else {
      throw wrong(name, node, "a list of \(count) numbers")
    }
    target = numbers
  }

  /// Whether there is a key `name`.
  package func has(_ name: String) -> Bool { values[name] != nil }

  /// An error at the place of `name`, for what only the caller can judge.
  package func error(at name: String, _ text: String) -> ConfigurationError {
    ConfigurationError(file, line: values[name]?.mark?.line ?? line, text)
  }

  /// Fails on keys that were never asked for.
  package func finish() throws {
    for (key, node) in values where !known.contains(key) {
      let place = section.isEmpty ? "" : " in '\(section)'"
      throw ConfigurationError(
        file, line: node.mark?.line,
        "unknown key '\(key)'\(place). Known are \(known.joined(separator: ", ")).")
    }
  }

  mutating func value(_ name: String) -> Node? {
    if !known.contains(name) { known.append(name) }
    return values[name]
  }

  mutating func absent<Value>(_ name: String, _ target: inout Value?) {
    if value(name) != nil { target = nil }
  }

  func isAbsent(_ node: Node) -> Bool {
    ["auto", "none", "null", "~", ""].contains(node.string ?? "-")
  }

  /// The key with the sections around it: `fine_tune.schedule.kind`.
  func path(of name: String) -> String { section.isEmpty ? name : "\(section).\(name)" }

  func wrong(_ name: String, _ node: Node, _ expected: String) -> ConfigurationError {
    return ConfigurationError(
      file, line: node.mark?.line,
      "'\(path(of: name))' is '\(node.string ?? "a list or mapping")', expected \(expected).")
  }
}

extension YAMLFields {
  /// The one setting that an option of the command line gives.
  ///
  /// - Parameters:
  ///   - file: the name to give in errors.
  ///   - name: of the setting.
  ///   - text: its value.
  ///   - isYAML: whether the text is YAML, such as a list in brackets, rather than the value itself.
  /// - Throws: ``ConfigurationError``.
  package init(file: String, setting name: String, value text: String, isYAML: Bool) throws {
    var node = Node(text)
    if isYAML {
      do { node = try Yams.compose(yaml: text) ?? node } catch {
        throw ConfigurationError(file, line: nil, "'\(name)' is '\(text)', which is not readable.")
      }
    }
    try self.init(file: file, section: "", node: .mapping(Node.Mapping([(Node(name), node)])))
  }
}
