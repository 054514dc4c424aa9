// SPDX-License-Identifier: Apache-2.0

/// A protobuf message to be written: small fields as bytes, the elements of tensors by reference, so
/// that they are streamed into the file and never copied together.
///
/// Repeated numbers are written unpacked, as the official ONNX library writes them.
struct ProtobufMessage {
  enum Piece {
    case bytes([UInt8])
    case elements(StoredTensor)
  }

  private(set) var pieces: [Piece] = []
  /// Length on the wire.
  private(set) var byteCount = 0

  mutating func append(_ field: Int, integer: Int) {
    key(field, 0)
    varint(UInt64(bitPattern: Int64(integer)))
  }

  mutating func append(_ field: Int, float: Float) {
    key(field, 5)
    let bits = float.bitPattern
    add((0..<4).map { UInt8(truncatingIfNeeded: bits >> (8 * $0)) })
  }

  mutating func append(_ field: Int, text: String) {
    key(field, 2)
    varint(UInt64(text.utf8.count))
    add(Array(text.utf8))
  }

  mutating func append(_ field: Int, message: ProtobufMessage) {
    key(field, 2)
    varint(UInt64(message.byteCount))
    for piece in message.pieces {
      switch piece {
      case .bytes(let bytes): add(bytes)
      case .elements: pieces.append(piece)
      }
    }
    byteCount += message.pieces.reduce(0) { $0 + $1.streamedCount }
  }

  /// The little-endian elements of a tensor, row by row.
  mutating func append(_ field: Int, elements tensor: StoredTensor) {
    key(field, 2)
    varint(UInt64(tensor.byteCount))
    pieces.append(.elements(tensor))
    byteCount += tensor.byteCount
  }

  private mutating func key(_ field: Int, _ type: UInt64) { varint(UInt64(field) << 3 | type) }

  private mutating func varint(_ number: UInt64) {
    var rest = number
    var bytes: [UInt8] = []
    while rest >= 0x80 {
      bytes.append(UInt8(truncatingIfNeeded: rest) | 0x80)
      rest >>= 7
    }
    add(bytes + [UInt8(rest)])
  }

  private mutating func add(_ bytes: [UInt8]) {
    byteCount += bytes.count
    if case .bytes(var last)? = pieces.last {
      pieces.removeLast()
      last += bytes
      pieces.append(.bytes(last))
    } else {
      pieces.append(.bytes(bytes))
    }
  }
}

extension ProtobufMessage.Piece {
  /// Bytes of a tensor; 0 for a piece that counts itself.
  fileprivate var streamedCount: Int {
    if case .elements(let tensor) = self { tensor.byteCount } else { 0 }
  }
}
