// SPDX-License-Identifier: Apache-2.0

import ThawTensors

/// A value on the pickle machine's stack.
///
/// Containers are indices into a ``PickleArena``: a container that holds itself is then no
/// reference cycle, one nested a million deep is freed without recursion, and one named twice is
/// stored once however often it is multiplied.
enum PickleValue: Sendable, Equatable {
  case none
  case boolean(Bool)
  case integer(Int)
  case float(Double)
  case string(String)
  case tuple(Int)
  case list(Int)
  case dictionary(Int)
  case global(PickleGlobal, name: String)
  /// A name outside the table of ``PickleGlobal``: a text, never looked up.
  case unknown(String)
  /// A placeholder; see ``PickleObject``.
  case object(Int)
  /// Bytes that lie in the file as they are, not read.
  case bytes(start: Int, count: Int)
  case storage(Int)
  case tensor(Int)
  /// Something kept only as a word, because nothing here needs its value: a device, a large integer.
  case opaque(String)

  /// What it is, for messages.
  var kindName: String {
    switch self {
    case .none: "None"
    case .boolean: "a bool"
    case .integer: "an int"
    case .float: "a float"
    case .string: "a str"
    case .tuple: "a tuple"
    case .list: "a list"
    case .dictionary: "a dict"
    case .global(_, let name): "the name \(name)"
    case .unknown(let name): "the name \(visibleName(name))"
    case .object: "an object"
    case .bytes: "bytes"
    case .storage: "a storage"
    case .tensor: "a tensor"
    case .opaque(let word): word
    }
  }
}

/// A run of elements that tensors point into.
struct TorchStorage: Sendable, Equatable {
  /// The name under which the data is stored.
  let key: String
  let elementType: ElementType
  /// Elements of the whole stored run.
  let storedCount: Int
  /// The part of it that this storage is, in elements.
  let start: Int
  let count: Int
}

/// Where a tensor's elements are.
struct TorchTensor: Sendable, Equatable {
  let storage: TorchStorage
  let shape: Shape
  /// The first element's place in the stored run, in elements.
  let offset: Int
  /// Steps in elements; nil when row-major.
  let strides: [Int]?
}

/// A Python dict: the last value given for a key, at the place of the first.
struct PickleDictionary: Sendable {
  private(set) var entries: [(key: PickleValue, value: PickleValue)] = []
  private var positions: [String: Int] = [:]

  subscript(key: String) -> PickleValue? { positions[key].map { entries[$0].value } }

  /// Sets an entry; false when two different names are equal in Unicode's eyes.
  mutating func set(_ key: PickleValue, _ value: PickleValue) -> Bool {
    guard case .string(let name) = key else {
      entries.append((key, value))
      return true
    }
    if let position = positions[name] {
      entries[position].value = value
      guard case .string(let old) = entries[position].key else { return false }
      return old.utf8.elementsEqual(name.utf8)
    }
    positions[name] = entries.count
    entries.append((key, value))
    return true
  }
}

/// The containers, placeholders, storages and tensors that a pickle made.
struct PickleArena: Sendable {
  var objects: [PickleObject] = []
  var tuples: [[PickleValue]] = []
  var lists: [[PickleValue]] = []
  var dictionaries: [PickleDictionary] = []
  var storages: [TorchStorage] = []
  var tensors: [TorchTensor] = []

  var count: Int {
    tuples.count + lists.count + dictionaries.count + tensors.count + objects.count
  }

  /// The elements of a tuple or list, nil for anything else.
  func elements(_ value: PickleValue) -> [PickleValue]? {
    switch value {
    case .tuple(let index): tuples[index]
    case .list(let index): lists[index]
    default: nil
    }
  }
}
