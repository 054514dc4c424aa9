// SPDX-License-Identifier: Apache-2.0

import Foundation
import Glibc
package import SystemPackage
import ThawDatasets
import ThawFiles

/// What a search has measured, a line each, in a file that is only appended to.
///
/// A line is the checksum of what follows (16 hexadecimal digits), a blank, and a JSON document; the first one
/// names the search. A line is on the disk before the search goes on. A process that is killed leaves at
/// most one torn line at the end, which is cut off when the journal is opened again; a damaged line further
/// up ends what is known there, because what follows was decided with it in mind.
package final class SearchJournal {
  /// What was measured, in order.
  package private(set) var entries: [SearchEntry]
  /// Lines at the end of the file that could not be read and were cut off.
  package let cutLines: Int
  private let file: OpenFile

  private struct Header: Codable, Equatable {
    var search: String
    var version = 1
  }

  /// Opens or creates the journal of the search named `key`; one of another search, or one that does not say
  /// which, is put aside first, under the first free of the names `NAME.former`, `NAME.former2` and so on.
  ///
  /// - Returns: also where that is.
  /// - Throws: `FileError`.
  package static func open(_ path: FilePath, key: String) throws -> (
    SearchJournal, former: FilePath?
  ) {
    let bytes = FileSystem.exists(path) ? try FileSystem.read(path) : []
    var lines = bytes.split(separator: 0x0A, omittingEmptySubsequences: false)
    // What follows the last line feed is no line.
    let tail = lines.popLast() ?? []
    let header: Header? = lines.first.flatMap(SearchJournal.decode)
    guard let header, header == Header(search: key) else {
      // A first line that was not finished is of nothing measured.
      let former = lines.isEmpty ? nil : SearchJournal.former(path)
      if let former { try FileSystem.move(path, to: former) }
      try AtomicFile.write(path, text: try SearchJournal.line(Header(search: key)))
      return (try SearchJournal(path, [], cutLines: 0), former)
    }
    var (entries, length) = ([SearchEntry](), lines[0].count + 1)
    for line in lines.dropFirst() {
      guard let entry: SearchEntry = SearchJournal.decode(line) else { break }
      entries.append(entry)
      length += line.count + 1
    }
    let cut = lines.count - 1 - entries.count + (tail.isEmpty ? 0 : 1)
    return (try SearchJournal(path, entries, cutLines: cut, keeping: length), nil)
  }

  /// Where the journal of another search is put: no earlier one is written over.
  package static func former(_ path: FilePath) -> FilePath {
    var (number, place) = (1, FilePath(path.string + ".former"))
    while FileSystem.exists(place) {
      number += 1
      place = FilePath("\(path.string).former\(number)")
    }
    return place
  }

  private init(
    _ path: FilePath, _ entries: [SearchEntry], cutLines: Int, keeping length: Int? = nil
  ) throws {
    self.entries = entries
    self.cutLines = cutLines
    file = try OpenFile(path, O_WRONLY | O_APPEND, "open")
    if let length, cutLines > 0 {
      guard ftruncate(file.descriptor, off_t(length)) == 0 else {
        throw FileError(path, "shorten", .system(errno))
      }
    }
  }

  deinit { file.closeIgnoringErrors() }

  /// Adds a line and waits until it is on the disk.
  ///
  /// - Throws: `FileError`.
  package func append(_ entry: SearchEntry) throws {
    var failure: FileError?
    Array(try SearchJournal.line(entry).utf8).withUnsafeBytes { bytes in
      do throws(FileError) { try file.write(bytes) } catch { failure = error }
    }
    if let failure { throw failure }
    try file.synchronize()
    entries.append(entry)
  }

  private static func line(_ value: some Encodable) throws -> String {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    let bytes = [UInt8](try encoder.encode(value))
    return checksum(bytes) + " " + String(decoding: bytes, as: UTF8.self) + "\n"
  }

  private static func decode<Value: Decodable>(_ line: ArraySlice<UInt8>) -> Value? {
    guard line.count > 17, line.dropFirst(16).first == 0x20 else { return nil }
    let bytes = Array(line.dropFirst(17))
    guard line.starts(with: checksum(bytes).utf8) else { return nil }
    return try? JSONDecoder().decode(Value.self, from: Data(bytes))
  }

  private static func checksum(_ bytes: [UInt8]) -> String {
    let digits = String(Checksum.of(bytes), radix: 16)
    return String(repeating: "0", count: 16 - digits.count) + digits
  }
}
