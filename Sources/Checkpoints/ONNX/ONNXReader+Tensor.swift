// SPDX-License-Identifier: Apache-2.0

import ThawTensors

/// A constant of an ONNX graph.
enum ONNXConstant {
  case numbers(StoredTensor)
  case texts(String, [String])

  var name: String {
    switch self {
    case .numbers(let tensor): tensor.name
    case .texts(let name, _): name
    }
  }
}

extension ONNXReader {
  /// What a tensor's message says, before it is checked.
  private struct Collected {
    var name = ""
    var extents: [Int] = []
    var type = 0
    var isExternal = false
    var external: [String: String] = [:]
    var raw: Range<Int>?
    /// Packed Float32 or Float64 that can be used where they lie, by their field.
    var packed: [(field: Int, range: Range<Int>)] = []
    var int32s: [Int] = []
    var int64s: [Int] = []
    var floats: [Float] = []
    var texts: [String] = []

    var label: String { "tensor \(quoted(name))" }
  }

  /// Numbers outside the raw bytes are kept in memory: small constants in practice.
  private static let numberLimit = 1 << 24

  /// ONNX's number for the type of texts.
  private static let textType = 8

  /// A constant tensor: its elements stay in the file, or are small.
  mutating func constant(_ message: ProtobufReader) throws(CheckpointError) -> ONNXConstant {
    typealias Field = ONNXField.Tensor
    var reader = message
    var found = Collected()
    while let field = try reader.next() {
      switch field.number {
      case Field.dimensions:
        try reader.append(
          field, "the shape of \(found.label)", to: &found.extents, limit: CheckpointLimits.rank)
      case Field.type: found.type = try reader.integer(field, "a tensor's type")
      case Field.name: found.name = try reader.text(field, "a tensor's name")
      case Field.raw: found.raw = try reader.range(field, "raw data")
      case Field.floats: try collect(field, reader, width: 4, into: &found)
      case Field.doubles: try collect(field, reader, width: 8, into: &found)
      case Field.int32s:
        try reader.append(field, found.label, to: &found.int32s, limit: ONNXReader.numberLimit)
      case Field.int64s:
        try reader.append(field, found.label, to: &found.int64s, limit: ONNXReader.numberLimit)
      case Field.texts:
        try keep(field, reader)
        found.texts.append(
          String(decoding: try reader.bytes(field, found.label, limit: 1 << 20), as: UTF8.self))
      case Field.segment, Field.uint64s:
        throw reader.error("refuses \(found.label): its kind is not supported", .refused, at: field)
      case Field.location:
        found.isExternal = try reader.integer(field, "a data location") != 0
      case Field.external:
        try keep(field, reader)
        let (key, value) = try entry(reader.part(try reader.range(field, "external data")))
        found.external[key] = value
      default: break
      }
    }
    guard found.type == ONNXReader.textType else {
      guard found.texts.isEmpty else { throw reader.error("\(found.label) has texts and numbers") }
      return .numbers(try made(found, reader))
    }
    guard let shape = Shape(checking: found.extents), shape.count == found.texts.count else {
      throw reader.error("\(found.label) is \(found.extents), it has \(found.texts.count) texts")
    }
    return .texts(found.name, found.texts)
  }

  private func collect(
    _ field: ProtobufField, _ reader: ProtobufReader, width: Int, into found: inout Collected
  ) throws(CheckpointError) {
    if case .part(let range) = field.value {
      guard range.count.isMultiple(of: width) else {
        throw reader.error("\(found.label): \(range.count) bytes of numbers", at: field)
      }
      found.packed.append((field.number, range))
    } else if width == 4 {
      guard found.floats.count < ONNXReader.numberLimit else {
        throw reader.error("\(found.label) has too many unpacked numbers", .tooLarge, at: field)
      }
      found.floats.append(try reader.float(field, found.label))
    } else {
      throw reader.error(
        "refuses \(found.label): unpacked 64-bit numbers", .refused, at: field)
    }
  }

  private mutating func made(
    _ found: Collected, _ reader: ProtobufReader
  ) throws(CheckpointError) -> StoredTensor {
    guard let type = ElementType(onnxCode: found.type) else {
      throw reader.error("refuses \(found.label): element type \(found.type)", .refused)
    }
    guard let shape = Shape(checking: found.extents),
      !shape.count.multipliedReportingOverflow(by: type.size).overflow
    else { throw reader.error("\(found.label): the shape \(found.extents) is impossible") }
    let byteCount = shape.count * type.size
    if found.isExternal {
      let (file, offset) = try external.place(
        found.external, found.label, byteCount: byteCount,
        error: { reader.error($0, $1, nextStep: $2) })
      return StoredTensor(name: found.name, type, shape, in: file, offset: offset)
    }
    let numbers = found.floats.count + found.int32s.count + found.int64s.count
    func check(_ count: Int, _ unit: String, _ expected: Int) throws(CheckpointError) {
      guard count == expected else {
        throw reader.error(
          "\(found.label) is \(shape) and needs \(expected) \(unit), it has \(count)")
      }
    }
    if let raw = found.raw {
      guard numbers == 0, found.packed.isEmpty else {
        throw reader.error("\(found.label) has its elements twice")
      }
      try check(raw.count, "bytes", byteCount)
      return StoredTensor(name: found.name, type, shape, in: source, offset: raw.lowerBound)
    }
    if let only = found.packed.first {
      let expected = only.field == ONNXField.Tensor.floats ? ElementType.float32 : .float64
      guard found.packed.count == 1, numbers == 0, type == expected else {
        throw reader.error("\(found.label): elements of type \(type.rawValue) in another's field")
      }
      try check(only.range.count, "bytes", byteCount)
      return StoredTensor(
        name: found.name, type, shape, in: source, offset: only.range.lowerBound)
    }
    try check(numbers, "elements", shape.count)
    return StoredTensor(found.name, type, shape, bytes: try bytes(of: found, type, reader))
  }

  /// The little-endian bytes of numbers that were not stored as bytes.
  private func bytes(
    of found: Collected, _ type: ElementType, _ reader: ProtobufReader
  ) throws(CheckpointError) -> [UInt8] {
    let numbers: [Int]
    let isElsewhere: Bool
    switch type {
    case .float32:
      numbers = found.floats.map { Int($0.bitPattern) }
      isElsewhere = !found.int32s.isEmpty || !found.int64s.isEmpty
    case .int64:
      numbers = found.int64s
      isElsewhere = !found.floats.isEmpty || !found.int32s.isEmpty
    case .int32, .int16, .int8, .uint16, .uint8, .bool, .float16, .bfloat16:
      numbers = found.int32s
      isElsewhere = !found.floats.isEmpty || !found.int64s.isEmpty
    case .float64, .uint32, .uint64:
      numbers = []
      isElsewhere = !found.floats.isEmpty || !found.int32s.isEmpty || !found.int64s.isEmpty
    }
    guard !isElsewhere else {
      throw reader.error("\(found.label): elements of type \(type.rawValue) in another's field")
    }
    return numbers.flatMap { number in
      (0..<type.size).map { UInt8(truncatingIfNeeded: number >> (8 * $0)) }
    }
  }
}
