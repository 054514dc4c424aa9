// SPDX-License-Identifier: Apache-2.0

package import SystemPackage
import ThawArchives
import ThawFiles

/// Writes safetensors files whose bytes depend on the contents alone.
///
/// Tensors are sorted by type (large elements first, so that all are aligned) and name, the header
/// is padded with spaces to a multiple of 8, the metadata is in byte order of its names. The same
/// tensors give the same bytes as the reference writer, up to the order of the metadata, which that
/// one leaves open.
package enum SafetensorsWriter {
  /// Writes `path` anew: complete and synced, or not at all.
  ///
  /// Tensors are streamed one after the other; those of another file are read as they are written.
  ///
  /// - Throws: ``CheckpointError`` when two tensors have one name, a name is `__metadata__`, or the
  ///   header would exceed 100 000 000 bytes; `FileError` when writing fails.
  package static func write(
    _ path: FilePath, _ tensors: [StoredTensor], metadata: [String: String] = [:]
  ) throws {
    let ordered = sorted(tensors)
    let header = try header(of: ordered, metadata, path)
    try AtomicFile.write(path) { file in
      try file.append(header)
      for tensor in ordered { try tensor.withBytes { try file.append($0) } }
    }
  }

  /// The tensors in the order of the file.
  static func sorted(_ tensors: [StoredTensor]) -> [StoredTensor] {
    tensors.sorted { left, right in
      left.elementType == right.elementType
        ? left.name.utf8.lexicographicallyPrecedes(right.name.utf8)
        : left.elementType.fileOrder < right.elementType.fileOrder
    }
  }

  /// The length and the header of tensors that are in the order of the file.
  static func header(
    of tensors: [StoredTensor], _ metadata: [String: String], _ path: FilePath
  ) throws(CheckpointError) -> [UInt8] {
    var members: [JSONMember] = []
    if !metadata.isEmpty {
      let entries = metadata.sorted { $0.key.utf8.lexicographicallyPrecedes($1.key.utf8) }
      let texts = entries.map { JSONMember($0.key, .string($0.value)) }
      members.append(JSONMember("__metadata__", .object(texts)))
    }
    var names: Set<String> = ["__metadata__"]
    var offset = 0
    for tensor in tensors {
      guard names.insert(tensor.name).inserted else {
        throw CheckpointError(
          path, .malformed, "two tensors cannot both be called \(quoted(tensor.name))",
          nextStep: "Rename one of them.")
      }
      members.append(JSONMember(tensor.name, description(of: tensor, at: offset)))
      offset += tensor.byteCount
    }
    var json: [UInt8] = []
    JSONValue.object(members).write(to: &json)
    while !json.count.isMultiple(of: 8) { json.append(0x20) }
    guard json.count <= CheckpointLimits.safetensorsHeader else {
      throw CheckpointError(
        path, .tooLarge, "the header would have \(json.count) bytes",
        nextStep: "Write fewer tensors.")
    }
    return (0..<8).map { UInt8(truncatingIfNeeded: json.count >> (8 * $0)) } + json
  }

  private static func description(of tensor: StoredTensor, at offset: Int) -> JSONValue {
    .object([
      JSONMember("dtype", .string(tensor.elementType.rawValue)),
      JSONMember("shape", .array(tensor.shape.extents.map(JSONValue.integer))),
      JSONMember(
        "data_offsets", .array([.integer(offset), .integer(offset + tensor.byteCount)])),
    ])
  }
}
