// SPDX-License-Identifier: Apache-2.0

package import SystemPackage
import ThawTensors

/// A program that `torch.export.save` wrote (`.pt2`): a zip archive that describes a graph of ATen
/// operations in JSON, with its arrays beside it. Nothing in it is run; the sample inputs, which are
/// pickled, are not opened.
///
/// - Source: torch/export/pt2_archive, `_package.py` and `constants.py`; torch/_export/serde/schema.py.
package struct TorchExportArchive: Sendable {
  /// Where it was read from.
  package let path: FilePath
  /// `models/NAME.json`: the graph and its signature.
  package let program: JSONValue
  /// Parameters, buffers and constants by their names in the module (`layer1.0.conv1.weight`).
  package let tensors: [String: StoredTensor]

  /// Reads an archive; nil for a file that is something else.
  ///
  /// - Throws: ``CheckpointError`` when it is one and damaged, or of a version that is not known.
  package init?(_ path: FilePath) throws(CheckpointError) {
    let source = try ByteSource(path)
    guard source.kind == .regular else { return nil }
    try self.init(source)
  }

  /// The same for a file that is in memory.
  package init?(bytes: [UInt8], named path: FilePath) throws(CheckpointError) {
    try self.init(ByteSource(bytes, path: path))
  }

  /// The same arrays with another program.
  package func describing(_ program: JSONValue) -> TorchExportArchive {
    TorchExportArchive(path: path, program: program, tensors: tensors)
  }

  private init(path: FilePath, program: JSONValue, tensors: [String: StoredTensor]) {
    self.path = path
    self.program = program
    self.tensors = tensors
  }

  private init?(_ source: ByteSource) throws(CheckpointError) {
    let start = try source.bytes(at: 0, count: min(source.count, 512))
    guard FileSignature(start, size: source.count) == .zip else { return nil }
    let archive = try ZIPArchive(source)
    if archive["serialized_exported_program.json"] != nil {
      throw CheckpointError(
        source.path, .refused,
        "this program was saved by PyTorch before 2.8, in a layout that is not read",
        nextStep: "Save it again: torch.export.save(torch.export.load(\"old.pt2\"), \"new.pt2\").")
    }
    let models = archive.entries.filter {
      let parts = $0.name.split(separator: "/")
      return parts.count == 3 && parts[1] == "models" && $0.name.hasSuffix(".json")
    }
    guard let model = models.first else { return nil }
    guard models.count == 1 else {
      throw CheckpointError(
        source.path, .refused, "the archive holds \(models.count) programs, one is read",
        nextStep: "Save them one by one.")
    }
    let parts = model.name.split(separator: "/").map(String.init)
    let name = String(parts[2].dropLast(".json".count))
    path = source.path
    program = try TorchExportArchive.json(model, archive)
    var tensors: [String: StoredTensor] = [:]
    for kind in ["weights", "constants"] {
      let folder = "\(parts[0])/data/\(kind)/"
      guard let list = archive[folder + "\(name)_\(kind)_config.json"] else { continue }
      guard case .object(let members)? = try TorchExportArchive.json(list, archive)["config"] else {
        throw CheckpointError(source.path, .malformed, "its list of \(kind) has no entries")
      }
      for member in members {
        tensors[member.name] = try TorchExportArchive.tensor(member, in: folder, archive)
      }
    }
    self.tensors = tensors
  }

  private static func json(
    _ entry: ZIPArchive.Entry, _ archive: ZIPArchive
  ) throws(CheckpointError) -> JSONValue {
    let bytes = try archive.contents(entry, limit: CheckpointLimits.program)
    do throws(JSONError) {
      return try JSONParser.parse(bytes, memberLimit: CheckpointLimits.tensors)
    } catch {
      throw CheckpointError(
        archive.source.path, .malformed, "\(entry.name): \(error.reason)", at: entry.start)
    }
  }

  /// An array: its own extents and steps in the storage that a file of the archive is.
  private static func tensor(
    _ member: JSONMember, in folder: String, _ archive: ZIPArchive
  ) throws(CheckpointError) -> StoredTensor {
    func error(_ reason: String) -> CheckpointError {
      CheckpointError(archive.source.path, .malformed, "tensor \(quoted(member.name)) \(reason)")
    }
    func integers(_ json: JSONValue?) -> [Int]? {
      guard let parts = json?.elements else { return nil }
      let numbers = parts.compactMap { $0["as_int"]?.integer }
      return numbers.count == parts.count && numbers.allSatisfy { $0 >= 0 } ? numbers : nil
    }
    guard member.value["use_pickle"] != .boolean(true) else {
      throw error("is pickled, as tensors of classes of their own are; it is not read")
    }
    let meta = member.value["tensor_meta"]
    guard let file = member.value["path_name"]?.text, let entry = archive[folder + file],
      let extents = integers(meta?["sizes"]), let strides = integers(meta?["strides"]),
      let shape = Shape(checking: extents), strides.count == extents.count,
      let offset = meta?["storage_offset"]?["as_int"]?.integer, offset >= 0,
      extents.count <= CheckpointLimits.rank
    else { throw error("is not described, or its data is missing") }
    guard let type = ElementType(torchExportCode: meta?["dtype"]?.integer ?? 0) else {
      throw error("is of a type that is not known")
    }
    try archive.verify(entry)
    var last = offset
    for (extent, stride) in zip(extents, strides) where shape.count > 0 {
      let (step, overflow) = (extent - 1).multipliedReportingOverflow(by: stride)
      let (sum, tooLarge) = last.addingReportingOverflow(step)
      guard !overflow, !tooLarge else { throw error("reaches beyond its data") }
      last = sum
    }
    guard last < entry.size / type.size || shape.count == 0 else {
      throw error("reaches beyond its data of \(entry.size) bytes")
    }
    return StoredTensor(
      name: member.name, type, shape, in: archive.source, offset: entry.start + offset * type.size,
      strides: strides)
  }
}

extension CheckpointLimits {
  /// The JSON of a program: a few hundred bytes an operation, with the author's stack at each.
  static let program = 1 << 27
}

extension ElementType {
  /// - Source: torch/_export/serde/schema.py, `ScalarType`.
  fileprivate init?(torchExportCode code: Int) {
    switch code {
    case 1: self = .uint8
    case 2: self = .int8
    case 3: self = .int16
    case 4: self = .int32
    case 5: self = .int64
    case 6: self = .float16
    case 7: self = .float32
    case 8: self = .float64
    case 12: self = .bool
    case 13: self = .bfloat16
    default: return nil
    }
  }
}
