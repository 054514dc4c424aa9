// SPDX-License-Identifier: Apache-2.0

import ThawArchives

/// Reads a pickle without running it.
///
/// Only the operations of ``PickleOpcode`` are carried out, and none of them runs anything. The names of
/// ``PickleGlobal`` are understood; what any other name would make becomes a ``PickleObject``, which
/// keeps what the pickle hands to it and does nothing. Only lists, dicts, sets and placeholders are
/// added to. Stack, marks, memo and the number of values are bounded, so the memory taken is bounded by
/// the file.
///
/// - Source: CPython, Lib/pickle.py; for tensors torch/_weights_only_unpickler.py.
struct PickleMachine {
  var cursor: ByteCursor
  var arena = PickleArena()
  /// Storages by key: two mentions of one key must agree.
  var storedRuns: [String: TorchStorage] = [:]
  private var stack: [PickleValue] = []
  private var marks: [Int] = []
  private var memo: [UInt32: PickleValue] = [:]
  private var start: Int
  /// Bytes of binary values, which are passed over and not kept.
  private var passedOver = 0
  /// Where the current operation begins, for messages.
  private(set) var operationOffset: Int

  init(_ cursor: ByteCursor) {
    self.cursor = cursor
    start = cursor.position
    operationOffset = cursor.position
  }

  /// Reads one pickle from the cursor's position; it stays behind the pickle's last byte.
  mutating func run() throws(CheckpointError) -> PickleValue {
    (stack, marks, memo, start) = ([], [], [:], cursor.position)
    passedOver = 0
    while true {
      operationOffset = cursor.position
      let byte = try cursor.byte()
      guard let opcode = PickleOpcode(rawValue: byte) else { throw try refusal(of: byte) }
      if opcode == .stop { return try pop() }
      try execute(opcode)
      guard stack.count <= CheckpointLimits.pickleStack else {
        throw error(
          .tooLarge, "the pickle's stack has more than \(CheckpointLimits.pickleStack) values")
      }
      guard arena.count + memo.count <= CheckpointLimits.pickleValues,
        cursor.position - start - passedOver <= CheckpointLimits.pickle
      else { throw error(.tooLarge, "the pickle is larger than any list of tensors") }
    }
  }

  private mutating func execute(_ opcode: PickleOpcode) throws(CheckpointError) {
    switch opcode {
    case .mark: marks.append(stack.count)
    case .binaryGet, .longBinaryGet, .binaryPut, .longBinaryPut: try executeMemo(opcode)
    case .memoize:
      guard let index = UInt32(exactly: memo.count) else { throw underflow }
      memo[index] = try top()
    case .pop:
      // Python takes a mark away when there is nothing above it.
      if let mark = marks.last, mark == stack.count { marks.removeLast() } else { _ = try pop() }
    case .popMark: _ = try popMark()
    case .duplicate: stack.append(try top())
    case .emptyTuple, .tuple, .tuple1, .tuple2, .tuple3, .emptyList, .emptyDictionary, .append,
      .appends, .setItem, .setItems, .list, .dictionary, .emptySet, .addItems, .frozenSet:
      try executeContainer(opcode)
    case .global, .stackGlobal, .reduce, .newObject, .newObjectWithKeywords, .build,
      .binaryPersistentID:
      try executeObject(opcode)
    case .frame: _ = try cursor.integer(UInt64.self)
    case .proto, .stop:
      let version = try cursor.byte()
      guard (2...5).contains(version) else {
        throw error(
          .refused, "refuses pickle protocol \(version), 2 to 5 are read",
          nextStep: "Save it again with torch.save's default pickle_protocol.")
      }
    default: stack.append(try constant(opcode))
    }
  }

  private mutating func constant(_ opcode: PickleOpcode) throws(CheckpointError) -> PickleValue {
    switch opcode {
    case .newTrue: .boolean(true)
    case .newFalse: .boolean(false)
    case .binaryInteger: .integer(Int(try cursor.integer(Int32.self)))
    case .binaryInteger1: .integer(Int(try cursor.byte()))
    case .binaryInteger2: .integer(Int(try cursor.integer(UInt16.self)))
    case .binaryFloat: .float(Double(bitPattern: try cursor.integer(UInt64.self).byteSwapped))
    case .shortBinaryString: try oldString(Int(try cursor.byte()))
    case .binaryString: try oldString(Int(try cursor.integer(UInt32.self)))
    case .shortBinaryUnicode: .string(try text(Int(try cursor.byte())))
    case .binaryUnicode: .string(try text(Int(try cursor.integer(UInt32.self))))
    case .binaryUnicode8: .string(try text(try length()))
    case .shortBinaryBytes: try bytes(Int(try cursor.byte()))
    case .binaryBytes: try bytes(Int(try cursor.integer(UInt32.self)))
    case .binaryBytes8, .byteArray8: try bytes(try length())
    case .long1: try largeInteger(Int(try cursor.byte()))
    case .long4: try largeInteger(Int(try cursor.integer(UInt32.self)))
    default: .none
    }
  }

  private mutating func executeMemo(_ opcode: PickleOpcode) throws(CheckpointError) {
    let isShort = opcode == .binaryGet || opcode == .binaryPut
    let index = isShort ? UInt32(try cursor.byte()) : try cursor.integer(UInt32.self)
    if opcode == .binaryPut || opcode == .longBinaryPut {
      memo[index] = try top()
    } else {
      guard let value = memo[index] else {
        throw error(.malformed, "the pickle recalls value \(index), which it never stored")
      }
      stack.append(value)
    }
  }

  private mutating func executeContainer(_ opcode: PickleOpcode) throws(CheckpointError) {
    switch opcode {
    case .emptyTuple: push(tuple: [])
    case .tuple: push(tuple: try popMark())
    case .tuple1: push(tuple: try pop(1))
    case .tuple2: push(tuple: try pop(2))
    case .tuple3: push(tuple: try pop(3))
    case .emptyList:
      stack.append(.list(arena.lists.count))
      arena.lists.append([])
    case .list:
      let items = try popMark()
      stack.append(.list(arena.lists.count))
      arena.lists.append(items)
    case .emptyDictionary: push(dictionary: PickleDictionary())
    case .dictionary:
      let items = try popMark()
      push(dictionary: PickleDictionary())
      try setItems(items)
    case .emptySet: push(object: PickleObject(name: "builtins.set", arguments: []))
    case .frozenSet:
      let items = try popMark()
      push(object: PickleObject(name: "builtins.frozenset", arguments: [], elements: items))
    case .append: try append(try pop(1))
    case .appends, .addItems: try append(try popMark())
    case .setItem: try setItems(try pop(2))
    default: try setItems(try popMark())
    }
  }

  private mutating func append(_ items: [PickleValue]) throws(CheckpointError) {
    switch try top() {
    case .list(let index): arena.lists[index] += items
    case .object(let index): arena.objects[index].elements += items
    case let other: throw error(.refused, "refuses to append to \(other.kindName)")
    }
  }

  private mutating func setItems(_ items: [PickleValue]) throws(CheckpointError) {
    let target = try top()
    guard items.count.isMultiple(of: 2) else {
      throw error(.malformed, "a dict has a key without a value")
    }
    for position in stride(from: 0, to: items.count, by: 2) {
      let (key, value) = (items[position], items[position + 1])
      switch key {
      case .list, .dictionary, .storage:
        throw error(.malformed, "\(key.kindName) cannot be the key of a dict")
      default: break
      }
      let isSound: Bool
      switch target {
      case .dictionary(let index): isSound = arena.dictionaries[index].set(key, value)
      case .object(let index): isSound = arena.objects[index].entries.set(key, value)
      default: throw error(.refused, "refuses to set an item of \(target.kindName)")
      }
      guard isSound else {
        throw error(.malformed, "two names differ only in how Unicode spells them")
      }
    }
  }

  private mutating func text(_ count: Int) throws(CheckpointError) -> String {
    guard let text = String(validating: try cursor.bytes(count), as: UTF8.self) else {
      throw error(.malformed, "a text is not UTF-8")
    }
    return text
  }

  /// A text of Python 2, which may be any bytes: data of an array, for example.
  private mutating func oldString(_ count: Int) throws(CheckpointError) -> PickleValue {
    let start = cursor.position
    let text = String(validating: try cursor.bytes(count), as: UTF8.self)
    return text.map { .string($0) } ?? .bytes(start: start, count: count)
  }

  /// Passes over binary data and keeps its place.
  private mutating func bytes(_ count: Int) throws(CheckpointError) -> PickleValue {
    let start = cursor.position
    try cursor.skip(count)
    passedOver += count
    return .bytes(start: start, count: count)
  }

  /// A length of 8 bytes; one that no file can have is noticed where it is used.
  private mutating func length() throws(CheckpointError) -> Int {
    Int(truncatingIfNeeded: min(try cursor.integer(UInt64.self), UInt64(Int.max)))
  }

  /// A little-endian two's complement integer; kept as a word beyond 64 bits.
  private mutating func largeInteger(_ count: Int) throws(CheckpointError) -> PickleValue {
    guard count <= 8 else {
      try cursor.skip(count)
      return .opaque("an int of \(count) bytes")
    }
    let bytes = try cursor.bytes(count)
    guard let last = bytes.last else { return .integer(0) }
    var value = last >= 0x80 ? -1 : 0
    for byte in bytes.reversed() { value = value << 8 | Int(byte) }
    return .integer(value)
  }

  private mutating func refusal(of byte: UInt8) throws(CheckpointError) -> CheckpointError {
    var name = PickleOpcode.refusedName(byte)
    if name == "INST" {
      name += " " + quoted(try line()) + "." + quoted(try line())
    }
    return error(.refused, "refuses the pickle operation \(name)")
  }

  /// The bytes up to a line feed, at most 256, as text.
  mutating func line() throws(CheckpointError) -> String {
    var bytes: [UInt8] = []
    while true {
      let byte = try cursor.byte()
      if byte == 0x0A { break }
      bytes.append(byte)
      guard bytes.count <= 256 else { throw error(.malformed, "a name is longer than 256 bytes") }
    }
    guard let text = String(validating: bytes, as: UTF8.self) else {
      throw error(.malformed, "a name is not UTF-8")
    }
    return text
  }

  // MARK: The stack

  mutating func push(_ value: PickleValue) { stack.append(value) }

  mutating func push(object: PickleObject) {
    stack.append(.object(arena.objects.count))
    arena.objects.append(object)
  }

  mutating func push(tuple: [PickleValue]) {
    stack.append(.tuple(arena.tuples.count))
    arena.tuples.append(tuple)
  }

  mutating func push(dictionary: PickleDictionary) {
    stack.append(.dictionary(arena.dictionaries.count))
    arena.dictionaries.append(dictionary)
  }

  /// The value on top.
  func top() throws(CheckpointError) -> PickleValue {
    guard let value = stack.last, stack.count > (marks.last ?? 0) else { throw underflow }
    return value
  }

  mutating func pop() throws(CheckpointError) -> PickleValue {
    let value = try top()
    stack.removeLast()
    return value
  }

  private mutating func pop(_ count: Int) throws(CheckpointError) -> [PickleValue] {
    guard stack.count - count >= (marks.last ?? 0) else { throw underflow }
    defer { stack.removeLast(count) }
    return Array(stack.suffix(count))
  }

  private mutating func popMark() throws(CheckpointError) -> [PickleValue] {
    guard let mark = marks.popLast() else {
      throw error(.malformed, "the pickle ends a group that it never began")
    }
    defer { stack.removeSubrange(mark...) }
    return Array(stack[mark...])
  }

  private var underflow: CheckpointError {
    error(.malformed, "the pickle takes a value from an empty stack")
  }

  /// An error at the current operation.
  func error(
    _ kind: CheckpointError.Kind, _ reason: String, nextStep: String? = nil
  ) -> CheckpointError {
    cursor.error(kind, reason, at: operationOffset, nextStep: nextStep)
  }
}
