// SPDX-License-Identifier: Apache-2.0

import ThawArchives

/// PyTorch's format before version 1.6: four pickles (a magic number, the protocol, the writer's
/// machine, the object), a pickled list of storage keys, then each storage as its element count
/// (8 bytes) and its elements.
///
/// - Source: torch/serialization.py, `_legacy_save`.
struct TorchLegacyReader {
  /// The pickle of 0x1950a86a20f9469cfc6c.
  static let magic: [UInt8] = [
    0x80, 2, 0x8A, 10, 0x6C, 0xFC, 0x9C, 0x46, 0xF9, 0x20, 0x6A, 0xA8, 0x50, 0x19, 0x2E,
  ]

  private var machine: PickleMachine
  private let source: ByteSource

  private init(_ source: ByteSource) {
    self.source = source
    machine = PickleMachine(ByteCursor(source))
  }

  static func read(_ source: ByteSource, _ key: String?) throws(CheckpointError) -> Checkpoint {
    var reader = TorchLegacyReader(source)
    let start = try source.bytes(at: 0, count: min(source.count, TorchLegacyReader.magic.count))
    guard start == TorchLegacyReader.magic else { return try PickledArrays.read(source, key) }
    try reader.readHeader()
    let root = try reader.machine.run()
    let state = try TorchStateDict(root, reader.machine, key: key)
    let offsets = try reader.readStorages()
    return Checkpoint(
      tensors: try state.stored(in: source, offsets: offsets), metadata: [:],
      format: .torchLegacy, path: source.path,
      surroundings: try state.surroundings(in: source, offsets: offsets))
  }

  private mutating func readHeader() throws(CheckpointError) {
    try machine.cursor.skip(TorchLegacyReader.magic.count)
    let version = try machine.run()
    guard version == .integer(1001) else {
      throw machine.error(.malformed, "the protocol version is not 1001")
    }
    let writer = try machine.run()
    if case .dictionary(let index) = writer,
      machine.arena.dictionaries[index]["little_endian"] == .boolean(true)
    {
      return
    }
    throw machine.error(
      .refused, "refuses big-endian data", nextStep: "Save it on another machine.")
  }

  /// Where the elements of each storage begin. The storages end the file.
  private mutating func readStorages() throws(CheckpointError) -> [String: Int] {
    let value = try machine.run()
    guard case .list(let index) = value else {
      throw machine.error(.malformed, "the storage keys are \(value.kindName), not a list")
    }
    var offsets: [String: Int] = [:]
    for element in machine.arena.lists[index] {
      guard case .string(let key) = element, let storage = machine.storedRuns[key],
        offsets[key] == nil
      else { throw machine.error(.malformed, "the list of storage keys does not fit the tensors") }
      let count = try machine.cursor.integer(Int64.self)
      guard count == Int64(storage.storedCount) else {
        throw machine.cursor.error(
          .malformed,
          "storage \(quoted(key)) has \(count) elements, \(storage.storedCount) were announced",
          at: machine.cursor.position - 8)
      }
      offsets[key] = machine.cursor.position
      let bytes = storage.storedCount.multipliedReportingOverflow(by: storage.elementType.size)
      try machine.cursor.skip(bytes.overflow ? .max : bytes.partialValue)
    }
    if let missing = machine.storedRuns.keys.sorted().first(where: { offsets[$0] == nil }) {
      throw machine.error(.malformed, "the data of storage \(quoted(missing)) is missing")
    }
    guard machine.cursor.remaining == 0 else {
      throw machine.cursor.error(
        .malformed, "\(machine.cursor.remaining) bytes follow the last storage")
    }
    return offsets
  }
}
