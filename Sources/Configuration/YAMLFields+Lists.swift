// SPDX-License-Identifier: Apache-2.0

import Yams

/// What stands under a key.
package enum YAMLKind: Sendable {
  /// Nothing: there is no such key.
  case absent
  /// A word or number.
  case scalar
  case list
  /// Keys and values.
  case mapping
}

extension YAMLFields {
  /// What stands under `name`, for settings that may be written in several ways.
  package func kind(of name: String) -> YAMLKind {
    switch values[name] {
    case nil: .absent
    case .sequence: .list
    case .mapping: .mapping
    default: .scalar
    }
  }

  /// Sets `target` to the truth value under `name`, if it is there.
  package mutating func read(_ name: String, into target: inout Bool) throws {
    guard let node = value(name) else { return }
    guard let truth = node.bool else { throw wrong(name, node, "true or false") }
    target = truth
  }

  /// Sets `target` to the choice under `name`, if it is there; `auto` and `none` mean nil.
  package mutating func read<Choice: RawRepresentable<String> & CaseIterable>(
    _ name: String, into target: inout Choice?
  ) throws {
    guard let node = value(name) else { return }
    if isAbsent(node) { return target = nil }
    guard let choice = node.string.flatMap(Choice.init(rawValue:)) else {
      throw wrong(name, node, Choice.allCases.map(\.rawValue).joined(separator: ", "))
    }
    target = choice
  }

  /// Sets `target` to the list of numbers under `name`, if it is there; a single one is a list too.
  package mutating func read(
    _ name: String, into target: inout [Double], in range: ClosedRange<Double>
  ) throws {
    guard let node = value(name) else { return }
    let numbers = (node.sequence.map(Array.init) ?? [node]).map { item in
      item.float ?? item.string.flatMap(Double.init)
    }
    let found = numbers.compactMap { $0 }
    guard found.count == numbers.count, found.allSatisfy(range.contains) else {
      throw wrong(
        name, node, "a list of numbers from \(range.lowerBound) to \(range.upperBound)")
    }
    target = found
  }

  /// Sets `target` to the list of whole numbers under `name`, if it is there; a single one is a list
  /// too, and `none` an empty one.
  package mutating func read(
    _ name: String, into target: inout [Int], in range: ClosedRange<Int>
  ) throws {
    guard let node = value(name) else { return }
    if node.sequence == nil, isAbsent(node) { return target = [] }
    let numbers = (node.sequence.map(Array.init) ?? [node]).map(\.int)
    let found = numbers.compactMap { $0 }
    guard found.count == numbers.count, found.allSatisfy(range.contains) else {
      throw wrong(
        name, node, "a list of whole numbers from \(range.lowerBound) to \(range.upperBound)")
    }
    target = found
  }

  /// Sets `target` to the list of words under `name`, if it is there; words separated by commas are
  /// a list too.
  package mutating func read(_ name: String, words target: inout [String]) throws {
    guard let node = value(name) else { return }
    guard let sequence = node.sequence else {
      guard let text = node.string else { throw wrong(name, node, "a list of words") }
      let words = text.split(separator: ",").map { $0.filter { $0 != " " } }
      return target = isAbsent(node) ? [] : words
    }
    let words = sequence.compactMap(\.string)
    guard words.count == sequence.count else { throw wrong(name, node, "a list of words") }
    target = words
  }

  /// Sets `target` to what stands under `name`, decoded by the type's own rules, if it is there.
  ///
  /// - Throws: ``ConfigurationError`` with the sentence of the type's `DecodingError`.
  package mutating func read<Value: Decodable>(_ name: String, decoding target: inout Value) throws
  {
    guard let node = value(name) else { return }
    do { target = try YAMLDecoder().decode(Value.self, from: node) } catch {
      throw undecodable(name, node, error)
    }
  }

  /// Calls `body` with each mapping of the list under `name`, in order.
  package mutating func list(_ name: String, _ body: (inout YAMLFields) throws -> Void) throws {
    guard let node = value(name) else { return }
    guard let items = node.sequence else { throw wrong(name, node, "a list of settings") }
    for (index, item) in items.enumerated() {
      var fields = try YAMLFields(
        file: file, section: "\(path(of: name))[\(index + 1)]", node: item)
      try body(&fields)
      try fields.finish()
    }
  }

  private func undecodable(_ name: String, _ node: Node, _ error: any Error) -> ConfigurationError {
    let (path, reason): ([any CodingKey], String) =
      switch error as? DecodingError {
      case .dataCorrupted(let context): (context.codingPath, context.debugDescription)
      case .typeMismatch(_, let context), .valueNotFound(_, let context):
        (context.codingPath, "not what is expected there: \(context.debugDescription)")
      case .keyNotFound(let key, _): ([], "'\(key.stringValue)' is missing")
      default: ([], "\(error)")
      }
    let keys = ([self.path(of: name)] + path.map(\.stringValue)).joined(separator: ".")
    return ConfigurationError(file, line: node.mark?.line, "'\(keys)': \(reason).")
  }
}
