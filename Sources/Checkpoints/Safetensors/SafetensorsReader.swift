// SPDX-License-Identifier: Apache-2.0

import ThawArchives
import ThawTensors

/// Reads Hugging Face's safetensors: an 8-byte header length, a JSON header, then the elements.
///
/// Everything the header says is checked before any tensor exists, in the order of the reference
/// reader. The tensors must cover the data exactly: no gap, no overlap, nothing behind them.
/// Spaces before the header are accepted, as the reference reader does since 2026 (its document
/// forbids them); NaN and infinite values are.
///
/// - Source: huggingface/safetensors, README "Format" and safetensors/src/tensor.rs.
struct SafetensorsReader {
  private let source: ByteSource
  private let dataStart: Int

  static func read(_ source: ByteSource) throws(CheckpointError) -> Checkpoint {
    var cursor = ByteCursor(source)
    guard source.count >= 8 else {
      throw cursor.error(
        .truncated, "\(source.count) bytes, a safetensors file begins with 8 bytes of length", at: 0
      )
    }
    let length = try cursor.integer(UInt64.self)
    guard length <= CheckpointLimits.safetensorsHeader else {
      throw cursor.error(
        .tooLarge, "neither a checkpoint nor a safetensors header, whose length would be \(length)",
        at: 0, nextStep: "Check that this is a weight file, and fetch it again.")
    }
    guard Int(length) <= cursor.remaining else {
      throw cursor.error(
        .truncated, "the safetensors header has \(length) bytes, \(cursor.remaining) are left",
        at: 0)
    }
    return try SafetensorsReader(source: source, dataStart: 8 + Int(length)).read()
  }

  private func failure(
    _ reason: String, _ kind: CheckpointError.Kind = .malformed, at offset: Int? = nil
  ) -> CheckpointError {
    CheckpointError(source.path, kind, reason, at: offset)
  }

  private func read() throws(CheckpointError) -> Checkpoint {
    let members = try header()
    var metadata: [String: String] = [:]
    var tensors: [Entry] = []
    for member in members {
      if member.name == "__metadata__" {
        metadata = try texts(member.value)
      } else {
        tensors.append(try Entry(member, self))
      }
    }
    tensors.sort { ($0.start, $0.end) < ($1.start, $1.end) }
    try checkCoverage(tensors)
    let stored = tensors.map { entry in
      StoredTensor(
        name: entry.name, entry.type, entry.shape, in: source, offset: dataStart + entry.start)
    }
    return Checkpoint(
      tensors: stored, metadata: metadata, format: .safetensors, path: source.path)
  }

  private func header() throws(CheckpointError) -> [JSONMember] {
    let bytes = try source.bytes(at: 8, count: dataStart - 8)
    let first = bytes.first { ![0x20, 0x09, 0x0A, 0x0D].contains($0) }
    guard first == 0x7B else {
      throw failure("the safetensors header does not begin with '{'", at: 8)
    }
    do throws(JSONError) {
      let json = try JSONParser.parse(bytes, memberLimit: CheckpointLimits.tensors)
      guard case .object(let members) = json else { return [] }
      return members
    } catch {
      throw failure(
        "the safetensors header: \(error.reason)", error.isLimit ? .tooLarge : .malformed,
        at: 8 + error.offset)
    }
  }

  private func texts(_ value: JSONValue) throws(CheckpointError) -> [String: String] {
    var texts: [String: String] = [:]
    guard case .object(let members) = value else { throw failure("__metadata__ is not an object") }
    for member in members {
      guard let text = member.value.text else {
        throw failure("__metadata__ entry \(quoted(member.name)) is not a text")
      }
      texts[member.name] = text
    }
    return texts
  }

  /// Each tensor begins where the one before ends, the first at 0, and the last ends the file.
  private func checkCoverage(_ tensors: [Entry]) throws(CheckpointError) {
    var end = 0
    for tensor in tensors {
      guard tensor.start == end, tensor.end >= tensor.start else {
        throw failure(
          "tensor \(quoted(tensor.name)) has the data from \(tensor.start) to \(tensor.end),"
            + " it should begin at \(end)")
      }
      end = tensor.end
      let bytes = tensor.shape.count.multipliedReportingOverflow(by: tensor.type.size)
      guard !bytes.overflow, bytes.partialValue == tensor.end - tensor.start else {
        throw failure(
          "tensor \(quoted(tensor.name)) \(tensor.type.rawValue) \(tensor.shape) has"
            + " \(tensor.end - tensor.start) bytes")
      }
    }
    let data = source.count - dataStart
    guard end <= data else {
      throw failure(
        "\(data) bytes of tensors, the header announces \(end)", .truncated, at: source.count)
    }
    guard end == data else {
      throw failure("\(data - end) bytes follow the last tensor", at: dataStart + end)
    }
  }

  /// A tensor as the header describes it.
  private struct Entry {
    let name: String
    let type: ElementType
    let shape: Shape
    let start: Int
    let end: Int

    init(_ member: JSONMember, _ reader: SafetensorsReader) throws(CheckpointError) {
      name = member.name
      let label = "tensor \(quoted(name))"
      guard case .object = member.value, let typeName = member.value["dtype"]?.text else {
        throw reader.failure("\(label) has no dtype")
      }
      guard let type = ElementType(rawValue: typeName) else {
        throw reader.failure(
          "refuses \(label): dtype \(quoted(typeName)) is not supported", .refused)
      }
      guard let extents = member.value["shape"]?.integers else {
        throw reader.failure("\(label): its shape is not a list of integers below 2^63")
      }
      guard extents.count <= CheckpointLimits.rank, let shape = Shape(checking: extents) else {
        throw reader.failure("\(label): the shape \(extents.prefix(9)) is impossible")
      }
      guard let range = member.value["data_offsets"]?.integers, range.count == 2, range[0] >= 0,
        range[1] >= 0
      else { throw reader.failure("\(label): data_offsets are not two integers") }
      (self.type, self.shape, start, end) = (type, shape, range[0], range[1])
    }
  }
}
