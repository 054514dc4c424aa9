// SPDX-License-Identifier: Apache-2.0

import ThawArchives
import ThawTensors

/// Names, calls and storages: the part of a pickle that could do harm if it were believed.
extension PickleMachine {
  mutating func executeObject(_ opcode: PickleOpcode) throws(CheckpointError) {
    switch opcode {
    case .global: try pushGlobal()
    case .build: try build()
    case .binaryPersistentID: push(.storage(try storage(of: try pop())))
    default:
      let arguments = try pop()
      guard case .tuple(let index) = arguments else {
        throw error(.malformed, "a call's arguments are \(arguments.kindName), not a tuple")
      }
      try call(try pop(), arena.tuples[index])
    }
  }

  private mutating func pushGlobal() throws(CheckpointError) {
    let name = try line() + "." + line()
    guard let global = PickleGlobal(name) else {
      throw error(.refused, "refuses GLOBAL \(escapedName(name))")
    }
    push(global == .elementType ? .opaque(name) : .global(global, name: name))
  }

  /// Gives an object its state. Only an OrderedDict (PyTorch keeps `_metadata` there) and an old
  /// Parameter have one, and nothing here needs it.
  private mutating func build() throws(CheckpointError) {
    let state = try pop()
    switch (try top(), state) {
    case (.dictionary, .dictionary), (.dictionary, .tuple), (.tensor, .tuple): return
    case (let target, let state):
      throw error(.refused, "refuses BUILD of \(target.kindName) with \(state.kindName)")
    }
  }

  private mutating func call(
    _ function: PickleValue, _ arguments: [PickleValue]
  ) throws(CheckpointError) {
    guard case .global(let global, let name) = function else {
      throw error(.refused, "refuses to call \(function.kindName)")
    }
    switch (global, arguments.count) {
    case (.orderedDictionary, 0): push(dictionary: PickleDictionary())
    case (.orderedDictionary, 1): push(dictionary: try dictionary(pairs: arguments[0]))
    case (.rebuildTensor, 4), (.rebuildTensorV2, 6...7): push(.tensor(try rebuild(arguments)))
    case (.parameter, 1...3):
      guard case .tensor = arguments[0] else { throw badCall(name, arguments) }
      push(arguments[0])
    case (.size, 1):
      guard case .tuple = arguments[0] else { throw badCall(name, arguments) }
      push(arguments[0])
    case (.device, 1...2): push(.opaque("a device"))
    default: throw badCall(name, arguments)
    }
  }

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

  private func escapedName(_ name: String) -> String {
    String(quoted(name).dropFirst().dropLast())
  }
}
