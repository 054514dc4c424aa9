// SPDX-License-Identifier: Apache-2.0

import ThawArchives
import ThawTensors

/// Names, calls and storages: the part of a pickle that could do harm if it were believed.
extension PickleMachine {
  mutating func executeObject(_ opcode: PickleOpcode) throws(CheckpointError) {
    switch opcode {
    case .global: push(global: try line() + "." + line())
    case .stackGlobal:
      let (second, first) = (try pop(), try pop())
      guard case .string(let name) = second, case .string(let module) = first else {
        throw error(.malformed, "a name is \(first.kindName) and \(second.kindName), not two texts")
      }
      push(global: module + "." + name)
    case .build: try build()
    case .binaryPersistentID: push(try persistent(try pop()))
    case .newObjectWithKeywords:
      let keywords = try pop()
      let arguments = try pop()
      push(object: PickleObject(name: className(try pop()), arguments: [arguments, keywords]))
    default:
      let arguments = try pop()
      guard case .tuple(let index) = arguments else {
        throw error(.malformed, "a call's arguments are \(arguments.kindName), not a tuple")
      }
      try call(try pop(), arena.tuples[index])
    }
  }

  /// A name of the table, or a text that nobody looks up.
  private mutating func push(global name: String) {
    guard let global = PickleGlobal(name) else { return push(.unknown(name)) }
    push(global == .elementType ? .opaque(name) : .global(global, name: name))
  }

  /// What a placeholder is called: by its class, or by what would make it.
  private func className(_ value: PickleValue) -> String {
    switch value {
    case .unknown(let name), .global(_, let name): name
    case .object(let index): arena.objects[index].name
    default: value.kindName
    }
  }

  /// Gives an object its state. A placeholder keeps it. Of the values that are known an OrderedDict
  /// (PyTorch keeps `_metadata` there) and a tensor may have one, and nothing here needs it.
  private mutating func build() throws(CheckpointError) {
    let state = try pop()
    switch (try top(), state) {
    case (.object(let index), _): arena.objects[index].state = state
    // Some libraries give a class or a function attributes.
    case (.unknown, _), (.dictionary, .dictionary), (.dictionary, .tuple), (.tensor, _): return
    case (let target, let state):
      throw error(.refused, "refuses BUILD of \(target.kindName) with \(state.kindName)")
    }
  }

  private mutating func call(
    _ function: PickleValue, _ arguments: [PickleValue]
  ) throws(CheckpointError) {
    let (global, name): (PickleGlobal, String)
    switch function {
    case .unknown(let name):
      let made = placeholderName(name, arguments)
      return push(object: PickleObject(name: made, arguments: arguments))
    case .object: return push(object: PickleObject(name: className(function), arguments: arguments))
    case .global(let known, let text): (global, name) = (known, text)
    default: throw error(.refused, "refuses to call \(function.kindName)")
    }
    switch (global, arguments.count) {
    case (.orderedDictionary, 0), (.defaultDictionary, 0...1), (.counter, 0):
      push(dictionary: PickleDictionary())
    case (.orderedDictionary, 1): push(dictionary: try dictionary(pairs: arguments[0]))
    case (.counter, 1):
      guard case .dictionary = arguments[0] else { throw badCall(name, arguments) }
      push(arguments[0])
    case (.rebuildTensor, 4), (.rebuildTensorV2, 6...7):
      // A storage of elements that are not read here makes a tensor that is not read.
      if case .object = arguments[0] {
        return push(object: PickleObject(name: name, arguments: arguments))
      }
      push(.tensor(try rebuild(arguments)))
    case (.rebuildFromType, 4):
      // One level only: the function behind it makes the tensor.
      guard case .tuple(let index) = arguments[2], case .global(let inner, _) = arguments[0],
        inner != .rebuildFromType
      else { return push(object: PickleObject(name: name, arguments: arguments)) }
      try call(arguments[0], arena.tuples[index])
    case (.parameter, 1...4), (.parameterWithState, 4):
      if case .object = arguments[0] { return push(arguments[0]) }
      guard case .tensor = arguments[0] else { throw badCall(name, arguments) }
      push(arguments[0])
    case (.size, 1):
      guard case .tuple = arguments[0] else { throw badCall(name, arguments) }
      push(arguments[0])
    case (.device, 1...2): push(.opaque("a device"))
    default: throw badCall(name, arguments)
    }
  }

  /// `copyreg._reconstructor` and its like make an object of the class they are given.
  private func placeholderName(_ name: String, _ arguments: [PickleValue]) -> String {
    guard PickleMachine.makers.contains(name), case .unknown(let made)? = arguments.first else {
      return name
    }
    return made
  }

  private static let makers: Set = [
    "copyreg._reconstructor", "copy_reg._reconstructor", "copyreg.__newobj__",
    "copy_reg.__newobj__",
  ]

  private func badCall(_ name: String, _ arguments: [PickleValue]) -> CheckpointError {
    let kinds = arguments.map(\.kindName).joined(separator: ", ")
    return error(.refused, "refuses to call \(name) with (\(kinds))")
  }

  /// The dictionary that Python 2 writes as a list of two-element lists.
  private func dictionary(pairs: PickleValue) throws(CheckpointError) -> PickleDictionary {
    var dictionary = PickleDictionary()
    guard let pairs = arena.elements(pairs) else {
      throw badCall("collections.OrderedDict", [pairs])
    }
    for pair in pairs {
      guard let pair = arena.elements(pair), pair.count == 2, case .string = pair[0],
        dictionary.set(pair[0], pair[1])
      else { throw error(.malformed, "an OrderedDict has an entry that is not a name and a value") }
    }
    return dictionary
  }

  // MARK: Tensors

  private mutating func rebuild(_ arguments: [PickleValue]) throws(CheckpointError) -> Int {
    guard case .storage(let index) = arguments[0], case .integer(let offset) = arguments[1],
      let sizes = integers(arguments[2]), let steps = integers(arguments[3])
    else { throw badCall("torch._utils._rebuild_tensor_v2", arguments) }
    if arguments.count == 7, arguments[6] != .none {
      throw error(.refused, "refuses a tensor that is a negated or conjugated view")
    }
    let tensor = try tensor(in: arena.storages[index], offset, sizes, steps)
    guard arena.tensors.count < CheckpointLimits.tensors else {
      throw error(.tooLarge, "more than \(CheckpointLimits.tensors) tensors")
    }
    arena.tensors.append(tensor)
    return arena.tensors.count - 1
  }

  private func integers(_ value: PickleValue) -> [Int]? {
    guard case .tuple(let index) = value else { return nil }
    var result: [Int] = []
    for element in arena.tuples[index] {
      guard case .integer(let number) = element else { return nil }
      result.append(number)
    }
    return result
  }

  /// Checks that a view lies inside its storage: offset + sum((size - 1) * stride) < count.
  private func tensor(
    in storage: TorchStorage, _ offset: Int, _ sizes: [Int], _ strides: [Int]
  ) throws(CheckpointError) -> TorchTensor {
    guard sizes.count == strides.count, sizes.count <= CheckpointLimits.rank else {
      throw error(
        .malformed, "a tensor has \(sizes.count) sizes and \(strides.count) strides, at most 8 each"
      )
    }
    guard let shape = Shape(checking: sizes), strides.allSatisfy({ $0 >= 0 }), offset >= 0,
      !shape.count.multipliedReportingOverflow(by: 8).overflow
    else {
      throw error(
        .malformed, "a tensor has sizes \(sizes), strides \(strides) and offset \(offset)")
    }
    if shape.count == 0 {
      return TorchTensor(storage: storage, shape: shape, offset: 0, strides: nil)
    }
    var last = (partialValue: offset, overflow: false)
    for (size, stride) in zip(sizes, strides) {
      let reach = (size - 1).multipliedReportingOverflow(by: stride)
      let sum = last.partialValue.addingReportingOverflow(reach.partialValue)
      last = (sum.partialValue, last.overflow || reach.overflow || sum.overflow)
    }
    guard !last.overflow, last.partialValue < storage.count else {
      throw error(
        .malformed,
        "a tensor \(shape) with strides \(strides) from element \(offset) on leaves its storage of"
          + " \(storage.count) elements")
    }
    return TorchTensor(
      storage: storage, shape: shape, offset: storage.start + offset,
      strides: isRowMajor(shape, strides) ? nil : strides)
  }

  private func isRowMajor(_ shape: Shape, _ strides: [Int]) -> Bool {
    var expected = 1
    for axis in (0..<shape.rank).reversed() where shape[axis] != 1 {
      guard strides[axis] == expected else { return false }
      expected *= shape[axis]
    }
    return true
  }

  // MARK: Storages

  /// What lies outside of the pickle: a storage, or in old files a module's class with its source text,
  /// of which the class's name is kept.
  private mutating func persistent(
    _ identifier: PickleValue
  ) throws(CheckpointError) -> PickleValue {
    guard let parts = arena.elements(identifier) else {
      throw error(.refused, "refuses a persistent object that is not a tensor's storage")
    }
    if parts.count == 4, parts[0] == .string("module") { return parts[1] }
    if parts.count >= 5, parts[0] == .string("storage"), case .unknown(let name) = parts[1] {
      arena.objects.append(PickleObject(name: name, arguments: []))
      return .object(arena.objects.count - 1)
    }
    return .storage(try storage(of: identifier))
  }

  /// `("storage", type, key, location, count)`, and in old files a view `(key, offset, count)`.
  private mutating func storage(of identifier: PickleValue) throws(CheckpointError) -> Int {
    guard let parts = arena.elements(identifier), parts.count >= 5,
      parts[0] == .string("storage"), case .global(.storage(let type), _) = parts[1],
      case .string(let key) = parts[2], case .string = parts[3],
      case .integer(let count) = parts[4], count >= 0
    else {
      throw error(.refused, "refuses a persistent object that is not a tensor's storage")
    }
    let whole = TorchStorage(
      key: key, elementType: type, storedCount: count, start: 0, count: count)
    if let known = storedRuns[key], known != whole || !known.key.utf8.elementsEqual(key.utf8) {
      throw error(.malformed, "storage \(quoted(key)) is described in two ways")
    }
    storedRuns[key] = whole
    arena.storages.append(parts.count > 5 ? try view(of: whole, parts[5]) : whole)
    return arena.storages.count - 1
  }

  private func view(
    of whole: TorchStorage, _ view: PickleValue
  ) throws(CheckpointError) -> TorchStorage {
    if view == .none { return whole }
    guard let parts = arena.elements(view), parts.count == 3, case .integer(let start) = parts[1],
      case .integer(let count) = parts[2], start >= 0, count >= 0, start <= whole.count,
      count <= whole.count - start
    else { throw error(.malformed, "a view leaves storage \(quoted(whole.key))") }
    return TorchStorage(
      key: whole.key, elementType: whole.elementType, storedCount: whole.count, start: start,
      count: count)
  }
}
