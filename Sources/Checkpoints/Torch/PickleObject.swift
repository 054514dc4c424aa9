// SPDX-License-Identifier: Apache-2.0

import ThawArchives

/// What a pickle says of an object of a class that is not known here: an inert placeholder.
///
/// Python would import the class, call it and give the object its state. Here nothing is imported and
/// nothing called: the name is kept as a text, and beside it what would have been handed over, so that
/// tensors and plain data inside can be found. A namespace of arguments, a NumPy scalar, a path, an
/// optimizer and a whole module are all such placeholders.
struct PickleObject: Sendable {
  /// `module.name` of the class or function, for example `argparse.Namespace`.
  let name: String
  /// What it would have been called with.
  let arguments: [PickleValue]
  /// What BUILD gives it, usually the dictionary of its attributes.
  var state: PickleValue = .none
  /// Its elements, for a list or a set of a class of its own.
  var elements: [PickleValue] = []
  /// Its entries, for a dictionary of a class of its own.
  var entries = PickleDictionary()
}

extension PickleArena {
  /// The attributes of an object: the dictionary of its state. Python writes a pair when a class has
  /// slots: the dictionary comes first.
  func attributes(of object: PickleObject) -> PickleDictionary? {
    switch object.state {
    case .dictionary(let index): dictionaries[index]
    case .tuple(let index):
      if case .dictionary(let first)? = tuples[index].first { dictionaries[first] } else { nil }
    default: nil
    }
  }

  /// The elements of a set, which protocol 2 writes as a call of `set` with a list.
  func members(_ value: PickleValue) -> [PickleValue]? {
    guard case .object(let index) = value else { return elements(value) }
    let object = objects[index]
    guard object.name.hasSuffix(".set") || object.name.hasSuffix(".frozenset") else { return nil }
    return object.elements + (object.arguments.first.flatMap { elements($0) } ?? [])
  }

  /// What a value is, with the class of an object, for a list of what was left out.
  func kindName(_ value: PickleValue) -> String {
    switch value {
    case .object(let index): visibleName(objects[index].name)
    case .unknown(let name): "the name \(visibleName(name))"
    default: value.kindName
    }
  }
}

/// A name from a pickle as it may be printed.
func visibleName(_ name: String) -> String { String(quoted(name).dropFirst().dropLast()) }
