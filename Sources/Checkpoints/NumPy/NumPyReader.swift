// SPDX-License-Identifier: Apache-2.0

import ThawArchives
import ThawTensors

/// Reads NumPy's arrays (`.npy`) and archives of them (`.npz`), without pickled objects.
///
/// An array is a magic number, the version, the header's length, a Python dict with `descr`,
/// `fortran_order` and `shape`, then the elements. Arrays in column-major order become views.
///
/// - Source: NumPy, numpy/lib/format.py and its document of the `.npy` format.
struct NumPyReader {
  static let magic: [UInt8] = [0x93] + Array("NUMPY".utf8)

  /// One array on its own; it is called `array`.
  static func readArray(_ source: ByteSource) throws(CheckpointError) -> Checkpoint {
    let header = try NumPyHeader(source, label: "the array")
    return Checkpoint(
      tensors: [header.stored("array", in: source)], metadata: [:], format: .numPy,
      path: source.path)
  }

  /// All arrays of an archive under their names without `.npy`; the checksum of one that is not
  /// compressed is compared at once, of one that is when it is read.
  static func read(_ archive: ZIPArchive) throws(CheckpointError) -> Checkpoint {
    var tensors: [StoredTensor] = []
    for entry in archive.entries {
      tensors.append(try tensor(entry, archive))
    }
    return Checkpoint(
      tensors: tensors, metadata: [:], format: .numPy, path: archive.source.path)
  }

  private static func tensor(
    _ entry: ZIPArchive.Entry, _ archive: ZIPArchive
  ) throws(CheckpointError) -> StoredTensor {
    let name = String(entry.name.dropLast(4))
    guard entry.isDeflated else {
      try archive.verify(entry)
      let source = ByteSource(archive.source, start: entry.start, count: entry.size)
      return try NumPyHeader(source, label: quoted(entry.name)).stored(name, in: source)
    }
    // The whole of it is decompressed when the elements are asked for.
    var start = try archive.prefix(of: entry, 512)
    if NumPyHeader.end(start) > start.count {
      start = try archive.prefix(of: entry, NumPyHeader.limit)
    }
    let header = try NumPyHeader(
      ByteSource(start, path: archive.source.path), count: entry.size, label: quoted(entry.name))
    return header.packed(name) { (body) throws(CheckpointError) in
      var position = -header.dataStart
      try archive.forEachPiece(of: entry, firstPiece: header.dataStart) { piece in
        if position >= 0 { body(piece, position) }
        position += piece.count
      }
    }
  }
}

/// The header of an array, checked against the number of bytes behind it.
struct NumPyHeader: Sendable {
  let elementType: ElementType
  let shape: Shape
  let isColumnMajor: Bool
  /// Where the elements begin.
  let dataStart: Int

  /// Bytes that a header may have, with what is before it.
  static let limit = (1 << 16) + 12

  /// Where the header ends that begins `bytes`, at least 12 of them; 0 when they are none.
  static func end(_ bytes: [UInt8]) -> Int {
    guard bytes.count >= 12 else { return 0 }
    return bytes[6] == 1
      ? 10 + Int(bytes[8]) + Int(bytes[9]) << 8
      : 12 + (0..<4).reduce(0) { $0 + Int(bytes[8 + $1]) << (8 * $1) }
  }

  /// Reads the header of the array that begins `source`.
  ///
  /// - Parameter count: bytes of the whole array when `source` is only its beginning.
  init(_ source: ByteSource, count: Int? = nil, label: String) throws(CheckpointError) {
    var cursor = ByteCursor(source)
    guard try cursor.bytes(NumPyReader.magic.count) == NumPyReader.magic else {
      throw cursor.error(.malformed, "\(label) is no NumPy array", at: 0)
    }
    let major = try cursor.byte()
    _ = try cursor.byte()
    guard (1...3).contains(major) else {
      throw cursor.error(.refused, "refuses \(label): version \(major), 1 to 3 are known", at: 6)
    }
    let length =
      major == 1
      ? Int(try cursor.integer(UInt16.self)) : Int(try cursor.integer(UInt32.self))
    guard length <= NumPyHeader.limit - 12 else {
      throw cursor.error(.tooLarge, "\(label) has a header of \(length) bytes", at: 8)
    }
    let text = try cursor.bytes(length)
    var literal = PythonLiteral(text)
    guard let fields = literal.dictionary() else {
      throw cursor.error(.malformed, "the header of \(label) is not understood", at: 10)
    }
    dataStart = cursor.position
    elementType = try NumPyHeader.elementType(fields["descr"], label, cursor)
    guard case .boolean(let isColumnMajor)? = fields["fortran_order"],
      case .tuple(let extents)? = fields["shape"], fields.count == 3
    else { throw cursor.error(.malformed, "the header of \(label) is not complete", at: 10) }
    guard extents.count <= CheckpointLimits.rank, let shape = Shape(checking: extents) else {
      throw cursor.error(.malformed, "\(label): the shape \(extents.prefix(9)) is impossible")
    }
    self.shape = shape
    self.isColumnMajor = isColumnMajor
    let size = shape.count.multipliedReportingOverflow(by: elementType.size)
    let elements = (count ?? source.count) - dataStart
    guard !size.overflow, size.partialValue == elements else {
      throw cursor.error(
        .malformed, "\(label) \(elementType.rawValue) \(shape) has \(elements) bytes of elements")
    }
  }

  /// The tensor in `source`.
  func stored(_ name: String, in source: ByteSource) -> StoredTensor {
    let reversed = Shape(shape.extents.reversed())
    let tensor = StoredTensor(
      name: name, elementType, isColumnMajor ? reversed : shape, in: source, offset: dataStart)
    return inOrder(tensor)
  }

  /// The tensor whose elements are unpacked on demand.
  func packed(
    _ name: String, _ unpack: @escaping StoredTensor.Unpacking
  ) -> StoredTensor {
    let reversed = Shape(shape.extents.reversed())
    return inOrder(
      StoredTensor(name, elementType, isColumnMajor ? reversed : shape, unpack: unpack))
  }

  /// Column-major elements are those of the transposed array in row-major order.
  private func inOrder(_ tensor: StoredTensor) -> StoredTensor {
    isColumnMajor ? tensor.permuted(Array((0..<shape.rank).reversed())) : tensor
  }

  private static func elementType(
    _ value: PythonLiteral.Value?, _ label: String, _ cursor: ByteCursor
  ) throws(CheckpointError) -> ElementType {
    guard case .text(let name)? = value else {
      throw cursor.error(.refused, "refuses \(label): its elements are records", at: 10)
    }
    if let type = types[name] { return type }
    if name.hasPrefix(">") {
      throw cursor.error(
        .refused, "refuses \(label): big-endian elements \(quoted(name))", at: 10,
        nextStep: "Save it with array.astype('<f4').")
    }
    let isObject = name.hasSuffix("O")
    throw cursor.error(
      .refused,
      "refuses \(label): elements of type \(quoted(name))"
        + (isObject ? ", pickled Python objects" : ""), at: 10,
      nextStep: "Save plain arrays of numbers.")
  }

  private static let types: [String: ElementType] = [
    "<f8": .float64, "<f4": .float32, "<f2": .float16, "<i8": .int64, "<i4": .int32, "<i2": .int16,
    "<u8": .uint64, "<u4": .uint32, "<u2": .uint16, "|i1": .int8, "|u1": .uint8, "|b1": .bool,
  ]
}
