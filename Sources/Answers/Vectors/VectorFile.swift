// SPDX-License-Identifier: Apache-2.0

import Foundation
package import SystemPackage
import ThawArchives
import ThawCheckpoints
import ThawConsole
import ThawFiles
import ThawTensors

/// Vectors of photos in a file: a NumPy array and a list beside it, a table, or JSON lines.
///
/// `NAME.npy` is a Float32 array [photos, length]; `NAME.jsonl` beside it has a line for each row,
/// `{"path": …, "sha256": …}`. As CSV the columns are `path, sha256, f0, f1, …`; as JSON lines each has a
/// `vector` besides. The hash is that of the photo's file.
package struct VectorFile: Sendable {
  /// How vectors are written.
  package enum Format: String, Sendable, CaseIterable, Encodable {
    case npy, csv, jsonl
  }

  /// Whose vector a row is.
  package struct Row: Sendable, Equatable, Codable {
    /// As it was named.
    package let path: String
    /// Of the photo's contents, hexadecimal.
    package let sha256: String

    package init(path: String, sha256: String) { (self.path, self.sha256) = (path, sha256) }
  }

  /// The list that lies beside an array.
  package static func list(beside array: FilePath) -> FilePath {
    var path = array
    path.extension = "jsonl"
    return path
  }

  // MARK: Writing

  /// Writes vectors that are in memory; see ``write(_:_:length:capacity:_:)``.
  ///
  /// - Parameter vectors: [rows, length], row after row.
  /// - Throws: `FileError`.
  package static func write(
    _ path: FilePath, _ format: Format, rows: [Row], vectors: [Float], length: Int
  ) throws {
    precondition(vectors.count == rows.count * length, "Every row has a vector.")
    _ = try write(path, format, length: length, capacity: rows.count) { writer in
      for (index, row) in rows.enumerated() {
        try writer.append(row, Array(vectors[(index * length)..<((index + 1) * length)]))
      }
    }
  }

  /// Writes the vectors that `body` appends, one after the other; complete or not at all, of an array the list
  /// first.
  ///
  /// - Parameter capacity: how many there are at most.
  /// - Returns: how many there are.
  /// - Throws: `FileError`, what `body` throws.
  package static func write(
    _ path: FilePath, _ format: Format, length: Int, capacity: Int,
    _ body: (inout VectorWriter) throws -> Void
  ) throws -> Int {
    if format == .npy { try checkList(list(beside: path)) }
    var count = 0
    try AtomicFile.write(path) { file in
      switch format {
      case .npy:
        let header = NumPyWriter.header(ofFloats: [capacity, length])
        try file.append(header)
        try AtomicFile.write(list(beside: path)) { list in
          count = try VectorWriter.run(body) { row, vector in
            try list.append(Array(try line(row).utf8))
            try vector.withUnsafeBytes { try file.append($0) }
          }
          // Photos without a vector are known only now. NumPy pads headers to a multiple of 64 bytes.
          let final = NumPyWriter.header(ofFloats: [count, length])
          precondition(final.count == header.count, "Headers of one array have one length.")
          try file.replace(at: 0, with: final)
        }
      case .csv:
        let header = ["path", "sha256"] + (0..<length).map { "f\($0)" }
        try file.append(Array((header.joined(separator: ",") + "\r\n").utf8))
        count = try VectorWriter.run(body) { row, vector in
          let cells = [row.path, row.sha256] + vector.map { "\($0)" }
          let text = cells.map(CSVWriter.cell).joined(separator: ",") + "\r\n"
          try file.append(Array(text.utf8))
        }
      case .jsonl:
        count = try VectorWriter.run(body) { row, vector in
          let numbers = vector.map { "\($0)" }.joined(separator: ",")
          let text = try line(row).dropLast(2) + ",\"vector\":[\(numbers)]}\n"
          try file.append(Array(text.utf8))
        }
      }
    }
    return count
  }

  /// A file that lies where the list of an array goes is only written over when it is such a list.
  ///
  /// - Throws: ``PipelineError/usage(_:)``.
  static func checkList(_ path: FilePath) throws {
    guard FileSystem.exists(path) else { return }
    let first = try FileSystem.read(path, limit: 1 << 30).prefix { $0 != 0x0A }
    let members = (try? JSONSerialization.jsonObject(with: Data(first))) as? [String: Any]
    guard Set((members ?? [:]).keys) == ["path", "sha256"] else {
      throw PipelineError.usage(
        "\(path.displayed) is there and no list of an array's photos, which would be written there. Give"
          + " --output another name.")
    }
  }

  private static func line(_ row: Row) throws -> String {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    return String(decoding: try encoder.encode(row), as: UTF8.self) + "\n"
  }

  // MARK: Reading

  /// Whose the rows of the array are.
  package let rows: [Row]
  /// Numbers in a vector.
  package let length: Int
  private let tensor: StoredTensor

  /// Opens an array with its list; the vectors stay in the file.
  ///
  /// - Throws: `CheckpointError`, `FileError`; ``PipelineError/data(_:)`` when the two do not fit.
  package init(_ path: FilePath) throws {
    guard path.extension == "npy" else {
      throw PipelineError.data(
        "\(path.displayed): vectors are searched in a .npy file with its list beside it. Write one:"
          + " thaw embed --model MODEL PHOTOS --output vectors.npy")
    }
    let checkpoint = try CheckpointReader.read(path)
    guard let tensor = checkpoint.tensors.first, checkpoint.tensors.count == 1,
      tensor.shape.rank == 2, tensor.elementType == .float32, tensor.shape[1] > 0
    else {
      throw PipelineError.data(
        "\(path.displayed): a Float32 array [photos, length] is expected, found"
          + " \(checkpoint.tensors.map { "\($0.elementType.rawValue) \($0.shape)" }.joined(separator: ", "))."
      )
    }
    let list = VectorFile.list(beside: path)
    let lines = String(decoding: try FileSystem.read(list), as: UTF8.self)
      .split(separator: "\n", omittingEmptySubsequences: true)
    let decoder = JSONDecoder()
    rows = try lines.enumerated().map { number, line in
      guard let row = try? decoder.decode(Row.self, from: Data(line.utf8)) else {
        throw PipelineError.data(
          "\(list.displayed):\(number + 1): a path and a sha256 are expected.")
      }
      return row
    }
    guard rows.count == tensor.shape[0] else {
      throw PipelineError.data(
        "\(list.displayed): has \(rows.count) lines for the \(tensor.shape[0]) rows of"
          + " \(path.displayed). Write both anew: thaw embed")
    }
    length = tensor.shape[1]
    self.tensor = tensor
  }

  /// Calls `body` with all vectors in order, in blocks of whole rows; never more than a few megabytes are in
  /// memory.
  ///
  /// - Throws: `CheckpointError`.
  package func forEachBlock(_ body: (UnsafeBufferPointer<Float>) -> Void) throws {
    let rowsInBlock = max((1 << 22) / (4 * length), 1)
    let block = AlignedStorage<Float>(count: rowsInBlock * length)
    let capacity = 4 * rowsInBlock * length
    let target = UnsafeMutableRawBufferPointer(block.elements)
    var filled = 0
    try tensor.forEachPiece { piece in
      var start = 0
      while start < piece.count {
        let count = min(piece.count - start, capacity - filled)
        target[filled..<(filled + count)].copyBytes(from: piece[start..<(start + count)])
        (start, filled) = (start + count, filled + count)
        guard filled == capacity else { continue }
        body(UnsafeBufferPointer(block.elements))
        filled = 0
      }
    }
    if filled > 0 { body(UnsafeBufferPointer(rebasing: block.elements[..<(filled / 4)])) }
  }
}

/// Takes the vectors of a file, one after the other.
package struct VectorWriter {
  /// How many it took.
  package private(set) var count = 0
  private let write: (VectorFile.Row, [Float]) throws -> Void

  /// Adds a row.
  ///
  /// - Throws: `FileError`.
  package mutating func append(_ row: VectorFile.Row, _ vector: [Float]) throws {
    try write(row, vector)
    count += 1
  }

  /// Calls `body` with a writer, which must not outlive the call, and says how many it took.
  fileprivate static func run(
    _ body: (inout VectorWriter) throws -> Void,
    _ write: (VectorFile.Row, [Float]) throws -> Void
  ) throws -> Int {
    try withoutActuallyEscaping(write) { write in
      var writer = VectorWriter(write: write)
      try body(&writer)
      return writer.count
    }
  }
}
