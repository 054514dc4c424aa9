// SPDX-License-Identifier: Apache-2.0

import ThawArchives

/// What a file is, told by its first bytes.
enum FileSignature: Equatable {
  /// PyTorch since 1.6, Keras 3, NumPy.
  case zip
  case pickle
  case safetensors
  case hdf5
  case numPyArray
  case onnx
  /// Something that is not read, with its article: `a Git LFS pointer, 132 bytes`.
  case other(String)

  /// - Parameter start: the first 512 bytes, or all of a shorter file.
  init(_ start: [UInt8], size: Int) {
    if size == 0 {
      self = .other("an empty file")
    } else if FileSignature.looksLikePickle(start) {
      self = .pickle
    } else if start.starts(with: FileSignature.hdf5Magic) {
      self = .hdf5
    } else if start.starts(with: NumPyReader.magic) {
      self = .numPyArray
    } else if FileSignature.looksLikeONNX(start) {
      self = .onnx
    } else if let name = FileSignature.foreign(start) {
      self = .other("\(name), \(size) bytes")
    } else if start.starts(with: [0x50, 0x4B, 3, 4]) || start.starts(with: [0x50, 0x4B, 5, 6]) {
      self = .zip
    } else {
      self = .safetensors
    }
  }

  /// A protocol number, or, before there was one, a name of two lines: `cos`, `system`.
  private static func looksLikePickle(_ start: [UInt8]) -> Bool {
    // A safetensors header may have 128 bytes: then a brace follows its length.
    if start[0] == 0x80 { return start.count <= 8 || start[8] != 0x7B }
    let text = start.drop { $0 == UInt8(ascii: "(") }
    guard let first = text.first, [UInt8(ascii: "c"), UInt8(ascii: "i")].contains(first) else {
      return false
    }
    let lines = text.dropFirst().split(
      separator: 0x0A, maxSplits: 2, omittingEmptySubsequences: false)
    return lines.count == 3
      && lines[..<2].allSatisfy { line in
        !line.isEmpty
          && line.allSatisfy {
            Unicode.Scalar($0).properties.isAlphabetic || $0 == 0x5F || $0 == 0x2E
          }
      }
  }

  /// The version of the layout (field 1), then the next field of a model: a text, or the graph.
  private static func looksLikeONNX(_ start: [UInt8]) -> Bool {
    guard start.count > 8, start[0] == 0x08, (1...31).contains(start[1]), start[8] != 0x7B else {
      return false
    }
    return [0x12, 0x1A, 0x22, 0x28, 0x32, 0x3A, 0x42, 0x72].contains(start[2])
  }

  private static func foreign(_ start: [UInt8]) -> String? {
    for (magic, name) in magics where start.starts(with: magic) { return name }
    if start.count >= 262, start[257..<262].elementsEqual("ustar".utf8) {
      return "a tar archive (PyTorch before 0.1.10, or something else)"
    }
    let text = start.drop { [0x20, 0x09, 0x0A, 0x0D, 0xEF, 0xBB, 0xBF].contains($0) }
    if text.starts(with: "<".utf8) { return "a web page or XML (it begins with '<')" }
    // Eight bytes of text are no header length: a length below 2^32 has four zero bytes.
    if start.count >= 8, start.prefix(8).allSatisfy({ (0x20..<0x7F).contains($0) || $0 == 0x0A }) {
      return "text (it begins with \(quoted(String(decoding: start.prefix(16), as: UTF8.self))))"
    }
    return nil
  }

  /// The eight bytes that begin an HDF5 file.
  static let hdf5Magic: [UInt8] = [0x89, 0x48, 0x44, 0x46, 0x0D, 0x0A, 0x1A, 0x0A]

  private static let magics: [([UInt8], String)] = [
    (Array("version https://git-lfs".utf8), "a Git LFS pointer"),
    (Array("GGUF".utf8), "a GGUF file"),
    ([0x1F, 0x8B], "a gzip file"),
    ([0x28, 0xB5, 0x2F, 0xFD], "a zstd file"),
    ([0x42, 0x5A, 0x68], "a bzip2 file"),
    ([0xFD] + Array("7zXZ".utf8), "an xz file"),
    ([0x50, 0x4B, 7, 8], "a split zip archive"),
    ([0x89] + Array("PNG".utf8), "a PNG image"),
    ([0xFF, 0xD8, 0xFF], "a JPEG image"),
  ]
}
