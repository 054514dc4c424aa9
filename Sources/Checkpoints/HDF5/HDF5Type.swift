// SPDX-License-Identifier: Apache-2.0

import ThawArchives
import ThawTensors

/// The type of stored elements, as far as it is used.
enum HDF5Type: Equatable {
  case number(ElementType)
  /// A text of so many bytes, padded.
  case text(Int)
  /// A reference of 16 bytes to a text in a global heap.
  case variableText
  /// Bytes without a meaning of their own; Keras stores bfloat16 so.
  case opaque(Int)
  /// Anything else: what it is, for messages.
  case other(String, size: Int)

  /// Bytes an element.
  var size: Int {
    switch self {
    case .number(let type): type.size
    case .text(let size), .opaque(let size), .other(_, let size): size
    case .variableText: 16
    }
  }

  /// Reads a datatype message.
  init(_ cursor: inout ByteCursor) throws(CheckpointError) {
    let first = try cursor.byte()
    let bits = try cursor.bytes(3)
    let size = Int(try cursor.integer(UInt32.self))
    switch first & 0x0F {
    case 0: self = try HDF5Type.integer(bits, size, &cursor)
    case 1: self = try HDF5Type.float(bits, size, &cursor)
    case 3: self = .text(size)
    case 5: self = .opaque(size)
    case 8 where size == 1: self = .number(.bool)  // an enumeration of FALSE and TRUE
    case 9 where bits[0] & 0x0F == 1: self = .variableText
    case let kind:
      let names: [UInt8: String] = [
        2: "times", 4: "bit fields", 6: "records", 7: "references", 8: "enumerations", 9: "lists",
        10: "arrays", 11: "complex numbers",
      ]
      self = .other(names[kind] ?? "elements of class \(kind)", size: size)
    }
  }

  private static func integer(
    _ bits: [UInt8], _ size: Int, _ cursor: inout ByteCursor
  ) throws(CheckpointError) -> HDF5Type {
    let offset = try cursor.integer(UInt16.self)
    let precision = Int(try cursor.integer(UInt16.self))
    guard bits[0] & 1 == 0 || size == 1 else { return .other("big-endian numbers", size: size) }
    guard offset == 0, precision == 8 * size else { return .other("padded numbers", size: size) }
    let types: [Int: (signed: ElementType, unsigned: ElementType)] = [
      1: (.int8, .uint8), 2: (.int16, .uint16), 4: (.int32, .uint32), 8: (.int64, .uint64),
    ]
    guard let type = types[size] else { return .other("integers of \(size) bytes", size: size) }
    return .number(bits[0] & 8 != 0 ? type.signed : type.unsigned)
  }

  private static func float(
    _ bits: [UInt8], _ size: Int, _ cursor: inout ByteCursor
  ) throws(CheckpointError) -> HDF5Type {
    let offset = try cursor.integer(UInt16.self)
    let precision = Int(try cursor.integer(UInt16.self))
    let fields = try cursor.bytes(4).map(Int.init)  // exponent and mantissa: place, size
    let bias = Int(try cursor.integer(UInt32.self))
    guard bits[0] & 0x41 == 0 else { return .other("big-endian numbers", size: size) }
    guard offset == 0, precision == 8 * size else { return .other("padded numbers", size: size) }
    return switch (size, fields, bias) {
    case (8, [52, 11, 0, 52], 1023): .number(.float64)
    case (4, [23, 8, 0, 23], 127): .number(.float32)
    case (2, [10, 5, 0, 10], 15): .number(.float16)
    case (2, [7, 8, 0, 7], 127): .number(.bfloat16)
    default: .other("floating-point numbers of an unknown format", size: size)
    }
  }
}

extension HDF5File {
  /// Reads a dataspace message; nil for one without elements.
  func shape(_ cursor: inout ByteCursor) throws(CheckpointError) -> Shape? {
    let place = cursor.position
    let version = try cursor.byte()
    let rank = Int(try cursor.byte())
    try cursor.skip(1)
    guard version == 1 || version == 2 else {
      throw cursor.error(.malformed, "an HDF5 dataspace of version \(version)", at: place)
    }
    if version == 1 {
      try cursor.skip(5)
    } else if try cursor.byte() == 2 {
      return nil
    }
    guard rank <= CheckpointLimits.rank else {
      throw cursor.error(.tooLarge, "an HDF5 data set has \(rank) dimensions", at: place)
    }
    var extents: [Int] = []
    for _ in 0..<rank { extents.append(try cursor.length()) }
    guard let shape = Shape(checking: extents),
      !shape.count.multipliedReportingOverflow(by: 64).overflow
    else {
      throw cursor.error(.tooLarge, "the shape \(extents) is impossible", at: place)
    }
    return shape
  }
}
