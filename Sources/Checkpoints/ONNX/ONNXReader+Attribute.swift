// SPDX-License-Identifier: Apache-2.0

extension ONNXReader {
  /// What an attribute may be, by the field that holds it, while its fields are read.
  private struct Collected {
    var name = ""
    var kind: Int?
    var single: ONNXAttribute?
    var floats: [Float] = []
    var integers: [Int] = []
    var texts: [String] = []
  }

  /// An attribute's name and value. Its declared type decides; old files declare none.
  mutating func attribute(
    _ message: ProtobufReader
  ) throws(CheckpointError) -> (name: String, value: ONNXAttribute) {
    typealias Field = ONNXField.Attribute
    var reader = message
    var found = Collected()
    while let field = try reader.next() {
      let what = "attribute \(quoted(found.name))"
      switch field.number {
      case Field.name: found.name = try reader.text(field, "the name of an attribute")
      case Field.type:
        let kind = try reader.integer(field, what)
        // A tensor of texts is kept as a list of them.
        if case .texts? = found.single, kind == 4 { found.kind = 8 } else { found.kind = kind }
      case Field.float: found.single = .float(try reader.float(field, what))
      case Field.integer: found.single = .integer(try reader.integer(field, what))
      case Field.text: found.single = .text(try text(field, reader, what))
      case Field.tensor:
        switch try constant(reader.part(try reader.range(field, what))) {
        case .numbers(let tensor): found.single = .tensor(tensor)
        case .texts(_, let texts):
          found.single = .texts(texts)
          if found.kind == nil || found.kind == 4 { found.kind = 8 }
          found.texts = texts
        }
      case Field.floats: try reader.append(field, what, to: &found.floats, limit: 1 << 20)
      case Field.integers: try reader.append(field, what, to: &found.integers, limit: 1 << 20)
      case Field.texts:
        try keep(field, reader)
        found.texts.append(try text(field, reader, what))
      case Field.graph, Field.graphs: found.single = .other("graph")
      case Field.tensors: found.single = .other("tensors")
      case Field.reference: found.single = .other("reference")
      default: break
      }
    }
    return (found.name, try value(of: found, reader))
  }

  /// A text that need not be UTF-8: bytes are then shown as they can be.
  private func text(
    _ field: ProtobufField, _ reader: ProtobufReader, _ what: String
  ) throws(CheckpointError) -> String {
    String(decoding: try reader.bytes(field, what, limit: 1 << 20), as: UTF8.self)
  }

  private func value(
    of found: Collected, _ reader: ProtobufReader
  ) throws(CheckpointError) -> ONNXAttribute {
    switch (found.kind, found.single) {
    case (6, _): return .floats(found.floats)
    case (7, _): return .integers(found.integers)
    case (8, _): return .texts(found.texts)
    case (1, .float(let number)?): return .float(number)
    case (2, .integer(let number)?): return .integer(number)
    // Numbers and texts that are zero or empty may be left out.
    case (1, nil): return .float(0)
    case (2, nil): return .integer(0)
    case (3, nil): return .text("")
    case (3, .text?), (4, .tensor?), (nil, _?): return found.single ?? .other("nothing")
    case (let kind?, _) where kind > 4 || kind == 0: return .other("of type \(kind)")
    case (nil, nil):
      if !found.floats.isEmpty { return .floats(found.floats) }
      if !found.integers.isEmpty { return .integers(found.integers) }
      return .texts(found.texts)
    default:
      throw reader.error("attribute \(quoted(found.name)) is not of the type it declares")
    }
  }
}
