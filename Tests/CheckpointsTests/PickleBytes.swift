// SPDX-License-Identifier: Apache-2.0

import ThawTestSupport

/// Writes pickles (protocol 2) byte by byte, good and bad ones.
struct PickleBytes {
  var bytes: [UInt8] = [0x80, 2]

  static let magic: [UInt8] = [
    0x80, 2, 0x8A, 10, 0x6C, 0xFC, 0x9C, 0x46, 0xF9, 0x20, 0x6A, 0xA8, 0x50, 0x19, 0x2E,
  ]

  mutating func op(_ character: Character) { bytes.append(character.asciiValue ?? 0) }
  mutating func raw(_ more: [UInt8]) { bytes += more }
  mutating func global(_ module: String, _ name: String) {
    bytes += "c\(module)\n\(name)\n".utf8
  }
  mutating func string(_ text: String) {
    op("X")
    bytes += littleEndian(UInt32(text.utf8.count)) + text.utf8
  }
  mutating func integer(_ value: Int) {
    bytes += [0x8A, 8] + littleEndian(UInt64(bitPattern: Int64(value)))
  }
  mutating func tuple(_ values: [Int]) {
    op("(")
    for value in values { integer(value) }
    op("t")
  }
  mutating func orderedDictionary() {
    global("collections", "OrderedDict")
    op(")")
    op("R")
  }

  /// `("storage", torch.TYPE, key, "cpu", count[, view])`, loaded.
  mutating func storage(
    _ type: String = "FloatStorage", key: String, count: Int, view: [Int]? = nil
  ) {
    op("(")
    string("storage")
    global("torch", type)
    string(key)
    string("cpu")
    integer(count)
    if let view {
      op("(")
      string("view")
      for number in view { integer(number) }
      op("t")
    }
    op("t")
    op("Q")
  }

  mutating func tensor(
    _ type: String = "FloatStorage", key: String = "0", count: Int, view: [Int]? = nil,
    offset: Int = 0, sizes: [Int], strides: [Int]
  ) {
    global("torch._utils", "_rebuild_tensor_v2")
    op("(")
    storage(type, key: key, count: count, view: view)
    integer(offset)
    tuple(sizes)
    tuple(strides)
    bytes.append(0x89)
    orderedDictionary()
    op("t")
    op("R")
  }

  /// A finished pickle of `{name: tensor}`.
  static func stateDict(
    name: String = "weight", _ type: String = "FloatStorage", count: Int, view: [Int]? = nil,
    offset: Int = 0, sizes: [Int], strides: [Int]
  ) -> [UInt8] {
    var pickle = PickleBytes()
    pickle.op("}")
    pickle.string(name)
    pickle.tensor(
      type, count: count, view: view, offset: offset, sizes: sizes, strides: strides)
    pickle.op("s")
    return pickle.finished
  }

  var finished: [UInt8] { bytes + [0x2E] }

  /// A whole legacy file around a pickled object.
  static func legacyFile(
    _ object: [UInt8], storages: [(key: String, count: Int, bytes: [UInt8])] = [],
    version: Int = 1001, littleEndianMachine: Bool = true
  ) -> [UInt8] {
    var protocolVersion = PickleBytes()
    protocolVersion.integer(version)
    var machine = PickleBytes()
    machine.op("}")
    machine.string("little_endian")
    machine.bytes.append(littleEndianMachine ? 0x88 : 0x89)
    machine.op("s")
    var keys = PickleBytes()
    keys.op("]")
    for storage in storages {
      keys.string(storage.key)
      keys.op("a")
    }
    let data = storages.flatMap { littleEndian(UInt64(bitPattern: Int64($0.count))) + $0.bytes }
    return magic + protocolVersion.finished + machine.finished + object + keys.finished + data
  }
}

func floatBytes(_ values: [Float]) -> [UInt8] { values.flatMap { littleEndian($0.bitPattern) } }
