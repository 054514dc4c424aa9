// SPDX-License-Identifier: Apache-2.0

package import SystemPackage
import ThawArchives
import ThawFiles

/// Writes archives of NumPy arrays (`.npz`) as `numpy.savez` does: a zip archive, nothing compressed,
/// each array a `.npy` file of version 1.0 in row-major order.
///
/// The same tensors give the same bytes: the archive has no times.
///
/// - Source: NumPy, numpy/lib/format.py; PKWARE, APPNOTE.TXT 6.3.
package enum NumPyWriter {
  /// Where a zip archive without 64-bit fields ends.
  private static let limit = 4_294_967_295

  /// Writes `path` anew: complete and synced, or not at all.
  ///
  /// - Throws: ``CheckpointError`` when two tensors have one name, a type is none of NumPy's, or the
  ///   archive would exceed 4 GB; `FileError` when writing fails.
  package static func write(_ path: FilePath, _ tensors: [StoredTensor]) throws {
    let sorted = tensors.sorted { $0.name.utf8.lexicographicallyPrecedes($1.name.utf8) }
    var names: Set<String> = []
    for tensor in sorted where !names.insert(tensor.name).inserted {
      throw CheckpointError(
        path, .malformed, "two tensors cannot both be called \(quoted(tensor.name))",
        nextStep: "Rename one of them.")
    }
    let total = sorted.reduce(0) { $0 + $1.byteCount + 2 * $1.name.utf8.count + 512 }
    guard total < limit else {
      throw CheckpointError(
        path, .tooLarge, "the archive would have \(total) bytes, at most 4 GB can be written",
        nextStep: "Write safetensors instead.")
    }
    try AtomicFile.write(path) { file in
      var (directory, offset): ([UInt8], Int) = ([], 0)
      for tensor in sorted {
        let entry = try Entry(tensor, path)
        let local = entry.localHeader
        try file.append(local)
        try file.append(entry.header)
        try tensor.withBytes { try file.append($0) }
        directory += entry.directoryHeader(at: offset)
        offset += local.count + entry.size
      }
      try file.append(directory)
      try file.append(end(entries: sorted.count, size: directory.count, at: offset))
    }
  }

  /// One array of the archive.
  private struct Entry {
    /// What precedes the elements.
    let header: [UInt8]
    let size: Int
    private let name: [UInt8]
    private let checksum: UInt32

    init(_ tensor: StoredTensor, _ path: FilePath) throws {
      guard let type = NumPyWriter.type(of: tensor.elementType) else {
        throw CheckpointError(
          path, .refused,
          "tensor \(quoted(tensor.name)) is of type \(tensor.elementType.rawValue), which NumPy has not",
          nextStep: "Convert it to float32.")
      }
      name = Array((tensor.name + ".npy").utf8)
      header = NumPyWriter.header(type, tensor.shape.extents)
      size = header.count + tensor.byteCount
      var checksum = CRC32()
      checksum.update(header)
      try tensor.withBytes { checksum.update($0) }
      self.checksum = checksum.value
    }

    /// Names are UTF-8 (bit 11); the date is the first that the format knows.
    private var common: [UInt8] {
      bytes(20, 2) + bytes(1 << 11, 2) + bytes(0, 2) + bytes(0, 2) + bytes(0x21, 2)
        + bytes(Int(checksum), 4) + bytes(size, 4) + bytes(size, 4) + bytes(name.count, 2)
        + bytes(0, 2)
    }

    var localHeader: [UInt8] { bytes(0x0403_4B50, 4) + common + name }

    func directoryHeader(at offset: Int) -> [UInt8] {
      bytes(0x0201_4B50, 4) + bytes(20, 2) + common + bytes(0, 2) + bytes(0, 2) + bytes(0, 2)
        + bytes(0, 4) + bytes(offset, 4) + name
    }
  }

  private static func end(entries: Int, size: Int, at offset: Int) -> [UInt8] {
    bytes(0x0605_4B50, 4) + bytes(0, 4) + bytes(entries, 2) + bytes(entries, 2) + bytes(size, 4)
      + bytes(offset, 4) + bytes(0, 2)
  }

  /// The magic number, version 1.0, the length, and a Python dict padded so that 64 divides it all.
  private static func header(_ type: String, _ extents: [Int]) -> [UInt8] {
    let shape = extents.map { "\($0)," }.joined(separator: " ")
    let tuple = extents.count == 1 ? shape : String(shape.dropLast())
    var text = "{'descr': '\(type)', 'fortran_order': False, 'shape': (\(tuple)), }"
    text += String(repeating: " ", count: (64 - (text.utf8.count + 11) % 64) % 64) + "\n"
    return NumPyReader.magic + [1, 0] + bytes(text.utf8.count, 2) + Array(text.utf8)
  }

  /// What precedes the elements of a Float32 array on its own, a `.npy` file, in row-major order.
  package static func header(ofFloats extents: [Int]) -> [UInt8] { header("<f4", extents) }

  private static func type(of elements: ElementType) -> String? {
    switch elements {
    case .float64: "<f8"
    case .float32: "<f4"
    case .float16: "<f2"
    case .int64: "<i8"
    case .int32: "<i4"
    case .int16: "<i2"
    case .int8: "|i1"
    case .uint64: "<u8"
    case .uint32: "<u4"
    case .uint16: "<u2"
    case .uint8: "|u1"
    case .bool: "|b1"
    case .bfloat16: nil
    }
  }
}

/// The lowest `count` bytes of a number, the lowest first.
private func bytes(_ value: Int, _ count: Int) -> [UInt8] {
  (0..<count).map { UInt8(truncatingIfNeeded: value >> (8 * $0)) }
}
