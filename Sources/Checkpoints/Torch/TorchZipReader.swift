// SPDX-License-Identifier: Apache-2.0

import ThawArchives

/// PyTorch's format since version 1.6: a zip archive with one top folder that has `data.pkl` (the
/// object), `data/KEY` (the elements of each storage), `version` and, since 2.1, `byteorder`.
///
/// - Source: torch/serialization.py and caffe2/serialize/inline_container.cc.
struct TorchZipReader {
  private let archive: ZIPArchive
  private let folder: String

  static func read(
    _ archive: ZIPArchive, _ key: String?
  ) throws(CheckpointError) -> Checkpoint {
    let source = archive.source
    let reader = try TorchZipReader(archive)
    try reader.checkVersion()
    let (root, machine) = try reader.readObject()
    let state = try TorchStateDict(root, machine, key: key)
    let offsets = try reader.readStorages(machine)
    return Checkpoint(
      tensors: try state.stored(in: source, offsets: offsets), metadata: [:], format: .torchZip,
      path: source.path, surroundings: try state.surroundings(in: source, offsets: offsets))
  }

  private init(_ archive: ZIPArchive) throws(CheckpointError) {
    self.archive = archive
    let source = archive.source
    let objects = archive.entries.filter {
      $0.name.hasSuffix("/data.pkl") && $0.name.split(separator: "/").count == 2
    }
    guard let object = objects.first, objects.count == 1 else {
      throw CheckpointError(
        source.path, .wrongFormat, "this is \(TorchZipReader.describe(archive, objects.count))")
    }
    folder = String(object.name.dropLast("data.pkl".count))
    let isScript = archive.entries.contains {
      $0.name == folder + "constants.pkl" || $0.name.hasPrefix(folder + "code/")
    }
    guard !isScript else {
      throw CheckpointError(
        source.path, .refused, "refuses a TorchScript archive, which is a program")
    }
    for entry in archive.entries { try archive.requireStored(entry) }
  }

  private static func describe(_ archive: ZIPArchive, _ objects: Int) -> String {
    if objects > 1 { return "a zip archive with \(objects) data.pkl" }
    if archive.entries.isEmpty { return "an empty zip archive" }
    return "a zip archive without data.pkl, model.weights.h5 or .npy arrays"
  }

  private func checkVersion() throws(CheckpointError) {
    guard let entry = archive[folder + "version"] else {
      throw CheckpointError(archive.source.path, .malformed, "the archive has no entry 'version'")
    }
    let text = String(decoding: try archive.contents(entry, limit: 64), as: UTF8.self)
    guard let version = Int(text.filter { !$0.isWhitespace }), (1...10).contains(version) else {
      throw CheckpointError(
        archive.source.path, .refused, "refuses archive version \(quoted(text)), 1 to 10 are known",
        at: entry.start)
    }
    guard let order = archive[folder + "byteorder"] else { return }
    let name = String(decoding: try archive.contents(order, limit: 64), as: UTF8.self)
    guard name == "little" else {
      throw CheckpointError(
        archive.source.path, .refused, "refuses byte order \(quoted(name)), 'little' is read",
        at: order.start, nextStep: "Save it on another machine.")
    }
  }

  private func readObject() throws(CheckpointError) -> (PickleValue, PickleMachine) {
    guard let entry = archive[folder + "data.pkl"] else {
      throw CheckpointError(archive.source.path, .malformed, "the archive has no entry 'data.pkl'")
    }
    guard entry.size <= CheckpointLimits.pickle else {
      throw CheckpointError(
        archive.source.path, .tooLarge, "data.pkl has \(entry.size) bytes", at: entry.start)
    }
    try archive.verify(entry)
    var machine = PickleMachine(
      ByteCursor(archive.source, from: entry.start, to: entry.start + entry.size))
    let root = try machine.run()
    guard machine.cursor.remaining == 0 else {
      throw machine.cursor.error(.malformed, "data.pkl goes on after its end")
    }
    return (root, machine)
  }

  /// Where the elements of each storage begin; their sizes and checksums are right.
  private func readStorages(
    _ machine: PickleMachine
  ) throws(CheckpointError) -> [String: Int] {
    var offsets: [String: Int] = [:]
    for storage in machine.storedRuns.values.sorted(by: { $0.key < $1.key }) {
      guard let entry = archive[folder + "data/" + storage.key] else {
        throw CheckpointError(
          archive.source.path, .malformed, "the data of storage \(quoted(storage.key)) is missing")
      }
      let size = storage.storedCount.multipliedReportingOverflow(by: storage.elementType.size)
      guard !size.overflow, size.partialValue == entry.size else {
        throw CheckpointError(
          archive.source.path, .malformed,
          "storage \(quoted(storage.key)) has \(entry.size) bytes, \(storage.storedCount) elements of"
            + " type \(storage.elementType.rawValue) were announced", at: entry.start)
      }
      try archive.verify(entry)
      offsets[storage.key] = entry.start
    }
    return offsets
  }
}
