// SPDX-License-Identifier: Apache-2.0

import Yams

/// A recipe is wrong; names the file, the line and what would be right.
public struct RecipeError: Error, Sendable, Equatable, CustomStringConvertible {
  /// For example `Pipelines/me.yml:12: unknown key 'epoch' in 'train'. Known are …`.
  public let description: String
  init(_ file: String, line: Int?, _ text: String) {
    description = "\(file)\(line.map { ":\($0)" } ?? ""): \(text)"
  }
}

/// One mapping of a YAML file: hands out typed values and knows which keys nobody asked for.
struct RecipeFields {
  private let file: String
  private let section: String
  private let line: Int?
  private let values: [String: Node]
  private var known: [String] = []

  init(file: String, text: String) throws {
    let root: Node?
    do { root = try Yams.compose(yaml: text) } catch {
      throw RecipeError(file, line: nil, "not readable as YAML: \(error)")
    }
    try self.init(file: file, section: "", node: root ?? .mapping(Node.Mapping([])))
  }

  private init(file: String, section: String, node: Node) throws {
    self.file = file
    self.section = section
    line = node.mark?.line
    if case .scalar(let scalar) = node, scalar.string.isEmpty {
      values = [:]
      return
    }
    guard case .mapping(let mapping) = node else {
      throw RecipeError(file, line: node.mark?.line, "'\(section)' must hold keys and values.")
    }
    var values: [String: Node] = [:]
    for (key, value) in mapping {
      guard let name = key.string else {
        throw RecipeError(file, line: key.mark?.line, "a key must be a word.")
      }
      guard values.updateValue(value, forKey: name) == nil else {
        throw RecipeError(file, line: key.mark?.line, "key '\(name)' is given twice.")
      }
    }
    self.values = values
  }

  /// Reads the keys of the mapping under `name`, if it is there.
  mutating func section(_ name: String, _ body: (inout RecipeFields) throws -> Void) throws {
    known.append(name)
    guard let node = values[name] else { return }
    var fields = try RecipeFields(file: file, section: name, node: node)
    try body(&fields)
    try fields.finish()
  }

  /// Sets `target` to the value under `name`, if it is there.
  mutating func read(_ name: String, into target: inout String) throws {
    guard let node = value(name) else { return }
    guard let text = node.string else { throw wrong(name, node, "a word") }
    target = text
  }

  mutating func read(_ name: String, into target: inout Int, in range: ClosedRange<Int>) throws {
    guard let node = value(name) else { return }
    guard let number = node.int, range.contains(number) else {
      throw wrong(name, node, "a whole number from \(range.lowerBound) to \(range.upperBound)")
    }
    target = number
  }

  mutating func read(_ name: String, into target: inout UInt64) throws {
    guard let node = value(name) else { return }
    guard let number = node.string.flatMap({ UInt64($0) }) else {
      throw wrong(name, node, "a whole number of at least 0")
    }
    target = number
  }

  mutating func read(
    _ name: String, into target: inout Double, in range: ClosedRange<Double>
  ) throws {
    guard let node = value(name) else { return }
    guard let number = node.float ?? node.string.flatMap(Double.init), range.contains(number) else {
      throw wrong(name, node, "a number from \(range.lowerBound) to \(range.upperBound)")
    }
    target = number
  }

  /// As above; `auto` and `none` mean nil.
  mutating func read(
    _ name: String, into target: inout Double?, in range: ClosedRange<Double>
  ) throws {
    guard let node = values[name], !isAbsent(node) else { return absent(name, &target) }
    var number = 0.0
    try read(name, into: &number, in: range)
    target = number
  }

  /// As above; `auto` and `none` mean nil.
  mutating func read(_ name: String, into target: inout Int?, in range: ClosedRange<Int>) throws {
    guard let node = values[name], !isAbsent(node) else { return absent(name, &target) }
    var number = 0
    try read(name, into: &number, in: range)
    target = number
  }

  mutating func read<Choice: RawRepresentable<String> & CaseIterable>(
    _ name: String, into target: inout Choice
  ) throws {
    guard let node = value(name) else { return }
    guard let choice = node.string.flatMap(Choice.init(rawValue:)) else {
      throw wrong(name, node, Choice.allCases.map(\.rawValue).joined(separator: ", "))
    }
    target = choice
  }

  /// Fails on keys that were never asked for.
  func finish() throws {
    for (key, node) in values where !known.contains(key) {
      let place = section.isEmpty ? "" : " in '\(section)'"
      throw RecipeError(
        file, line: node.mark?.line,
        "unknown key '\(key)'\(place). Known are \(known.joined(separator: ", ")).")
    }
  }

  private mutating func value(_ name: String) -> Node? {
    if !known.contains(name) { known.append(name) }
    return values[name]
  }

  private mutating func absent<Value>(_ name: String, _ target: inout Value?) {
    if value(name) != nil { target = nil }
  }

  private func isAbsent(_ node: Node) -> Bool {
    ["auto", "none", "null", "~", ""].contains(node.string ?? "-")
  }

  private func wrong(_ name: String, _ node: Node, _ expected: String) -> RecipeError {
    let place = section.isEmpty ? name : "\(section).\(name)"
    return RecipeError(
      file, line: node.mark?.line,
      "'\(place)' is '\(node.string ?? "a list or mapping")', expected \(expected).")
  }
}
