// SPDX-License-Identifier: Apache-2.0

import ThawArchives

/// One field of a protobuf message: its number, where it begins, and its value as it is on the wire.
struct ProtobufField {
  enum Value {
    case varint(UInt64)
    case fixed64(UInt64)
    /// The bytes of a text, a message or packed numbers, by their place in the file.
    case part(Range<Int>)
    case fixed32(UInt32)
  }

  let number: Int
  let offset: Int
  let value: Value
}

/// Reads the fields of a protobuf message one after the other, strictly and without copying.
///
/// Nothing is allocated by a declared size: a part is a range of the file until somebody reads it,
/// and it must lie inside the message around it. Nothing recurses: who wants the fields of a part
/// makes a reader for it, so the depth is that of the reading code and not of the file.
///
/// - Source: protobuf.dev, "Encoding".
struct ProtobufReader {
  private(set) var cursor: ByteCursor

  /// Reads all of `source`.
  init(_ source: ByteSource) { cursor = ByteCursor(source) }

  private init(cursor: ByteCursor) { self.cursor = cursor }

  /// A reader for a part of this message.
  func part(_ range: Range<Int>) -> ProtobufReader {
    ProtobufReader(cursor: ByteCursor(cursor, part: range))
  }

  /// The next field, nil at the end of the message.
  mutating func next() throws(CheckpointError) -> ProtobufField? {
    guard cursor.remaining > 0 else { return nil }
    let offset = cursor.position
    let key = try varint()
    let number = key >> 3
    guard (1...536_870_911).contains(number) else {
      throw cursor.error(.malformed, "protobuf field number \(number) is not allowed", at: offset)
    }
    let value: ProtobufField.Value
    switch key & 7 {
    case 0: value = .varint(try varint())
    case 1: value = .fixed64(try cursor.integer())
    case 2: value = .part(try skipPart(from: offset))
    case 5: value = .fixed32(try cursor.integer())
    case let type:
      throw cursor.error(
        .malformed, "protobuf wire type \(type) of field \(number) is not allowed", at: offset)
    }
    return ProtobufField(number: Int(number), offset: offset, value: value)
  }

  /// The next base-128 number: at most ten bytes, of which the last holds one bit.
  mutating func varint() throws(CheckpointError) -> UInt64 {
    let offset = cursor.position
    var result: UInt64 = 0
    for shift in stride(from: 0, through: 63, by: 7) {
      let byte = try cursor.byte()
      if shift == 63 && byte > 1 { break }
      result |= UInt64(byte & 0x7F) << UInt64(shift)
      if byte < 0x80 { return result }
    }
    throw cursor.error(.malformed, "a protobuf number has more than 64 bits", at: offset)
  }

  /// Passes over a length-delimited value.
  private mutating func skipPart(from offset: Int) throws(CheckpointError) -> Range<Int> {
    let length = try varint()
    guard length <= UInt64(cursor.remaining) else {
      throw cursor.error(
        .truncated,
        "a protobuf field announces \(length) bytes, its message has \(cursor.remaining) left",
        at: offset)
    }
    let start = cursor.position
    try cursor.skip(Int(length))
    return start..<start + Int(length)
  }
}

extension ProtobufReader {
  /// An error about a field.
  func error(
    _ reason: String, _ kind: CheckpointError.Kind = .malformed, at field: ProtobufField? = nil,
    nextStep: String? = nil
  ) -> CheckpointError {
    cursor.error(kind, reason, at: field?.offset, nextStep: nextStep)
  }

  /// The range of a text, a message or packed numbers.
  func range(_ field: ProtobufField, _ what: String) throws(CheckpointError) -> Range<Int> {
    guard case .part(let range) = field.value else {
      throw error("\(what) is not length-delimited", at: field)
    }
    return range
  }

  /// A signed integer.
  func integer(_ field: ProtobufField, _ what: String) throws(CheckpointError) -> Int {
    guard case .varint(let bits) = field.value else {
      throw error("\(what) is not an integer", at: field)
    }
    return Int(Int64(bitPattern: bits))
  }

  /// A Float32.
  func float(_ field: ProtobufField, _ what: String) throws(CheckpointError) -> Float {
    guard case .fixed32(let bits) = field.value else {
      throw error("\(what) is not a 32-bit number", at: field)
    }
    return Float(bitPattern: bits)
  }

  /// The bytes of a field that may have `limit` at most.
  func bytes(
    _ field: ProtobufField, _ what: String, limit: Int
  ) throws(CheckpointError) -> [UInt8] {
    let range = try range(field, what)
    guard range.count <= limit else {
      throw error(
        "\(what) has \(range.count) bytes, at most \(limit) are read", .tooLarge, at: field)
    }
    var cursor = ByteCursor(cursor, part: range)
    return try cursor.bytes(range.count)
  }

  /// A UTF-8 text.
  func text(
    _ field: ProtobufField, _ what: String, limit: Int = 1 << 16
  ) throws(CheckpointError) -> String {
    let bytes = try bytes(field, what, limit: limit)
    guard let text = String(validating: bytes, as: UTF8.self) else {
      throw error("\(what) is not UTF-8", at: field)
    }
    return text
  }

  /// Adds one integer, or packed ones, to `numbers`, which may grow to `limit`.
  func append(
    _ field: ProtobufField, _ what: String, to numbers: inout [Int], limit: Int
  ) throws(CheckpointError) {
    if case .part(let range) = field.value {
      var packed = part(range)
      while packed.cursor.remaining > 0 {
        guard numbers.count < limit else { throw tooMany(what, limit, field) }
        numbers.append(Int(Int64(bitPattern: try packed.varint())))
      }
    } else {
      guard numbers.count < limit else { throw tooMany(what, limit, field) }
      numbers.append(try integer(field, what))
    }
  }

  /// Adds one Float32, or packed ones, to `numbers`, which may grow to `limit`.
  func append(
    _ field: ProtobufField, _ what: String, to numbers: inout [Float], limit: Int
  ) throws(CheckpointError) {
    if case .part(let range) = field.value {
      guard range.count.isMultiple(of: 4) else {
        throw error("\(what) has \(range.count) bytes of packed numbers", at: field)
      }
      guard numbers.count + range.count / 4 <= limit else { throw tooMany(what, limit, field) }
      var packed = ByteCursor(cursor, part: range)
      while packed.remaining > 0 { numbers.append(Float(bitPattern: try packed.integer())) }
    } else {
      guard numbers.count < limit else { throw tooMany(what, limit, field) }
      numbers.append(try float(field, what))
    }
  }

  private func tooMany(_ what: String, _ limit: Int, _ field: ProtobufField) -> CheckpointError {
    error("\(what) has more than \(limit) numbers", .tooLarge, at: field)
  }
}
