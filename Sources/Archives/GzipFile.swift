// SPDX-License-Identifier: Apache-2.0

import CThawZlib
import Glibc
import SystemPackage
import ThawFiles

/// A file compressed by gzip. It has no order in which parts of it could be read, so it is unpacked once.
package enum GzipFile {
  /// The contents, in a file without a name that is gone when nobody reads it any more.
  ///
  /// - Parameter limit: most bytes of contents.
  /// - Throws: ``FormatError``, also when the disk has no room.
  package static func unpacked(_ source: ByteSource, limit: Int) throws(FormatError) -> ByteSource {
    let file = try unnamedFile(source)
    do throws(FormatError) {
      try unpack(source, to: file, limit: limit)
      return try ByteSource(file, path: source.path)
    } catch {
      file.closeIgnoringErrors()
      throw error
    }
  }

  private static func unnamedFile(_ source: ByteSource) throws(FormatError) -> OpenFile {
    let folder = folder
    let path = folder.appending("thaw-\(getpid())-\(UInt64.random(in: 0 ... .max))")
    do throws(FileError) {
      let file = try OpenFile(path, O_RDWR | O_CREAT | O_EXCL, "create")
      try FileSystem.remove(path)
      return file
    } catch { throw cannotUnpack(source, error) }
  }

  private static var folder: FilePath {
    getenv("TMPDIR").map { FilePath(String(cString: $0)) } ?? "/tmp"
  }

  /// The archive is sound; the place where it is unpacked is not.
  private static func cannotUnpack(_ source: ByteSource, _ error: FileError) -> FormatError {
    let reason = error.reason.text(error.operation)
    return FormatError(
      source.path, .unreadable,
      "is unpacked to a file in \(folder.displayed), and there Thaw \(reason.hasSuffix(".") ? String(reason.dropLast()) : reason);"
        + " TMPDIR can name another folder")
  }

  private static func unpack(
    _ source: ByteSource, to file: OpenFile, limit: Int
  ) throws(FormatError) {
    var member = try Member(source)
    var output = [UInt8](repeating: 0, count: 1 << 20)
    var (read, total) = (0, 0)
    while read < source.count {
      let input = try source.bytes(at: read, count: min(1 << 18, source.count - read))
      var (used, isFull) = (0, false)
      while used < input.count || isFull {
        // A file may hold several members, one behind the other; zeros may fill up the last block.
        if member.hasEnded {
          if input[used...].allSatisfy({ $0 == 0 }) { break }
          member = try Member(source)
        }
        let (taken, made) = try member.step(input, used, &output, at: read + used)
        guard taken > 0 || made > 0 || isFull || member.hasEnded else {
          throw FormatError(
            source.path, .malformed, "the compressed data is damaged", at: read + used)
        }
        used += taken
        total += made
        guard total <= limit else {
          throw FormatError(
            source.path, .tooLarge, "its \(source.count) bytes would become more than \(limit)",
            at: read + used)
        }
        try write(output, made, to: file, of: source)
        // The library may hold more than there was room for.
        isFull = made == output.count && !member.hasEnded
      }
      read += input.count
    }
    guard member.hasEnded else {
      throw FormatError(
        source.path, .truncated, "the compressed data does not end", at: source.count)
    }
  }

  private static func write(
    _ bytes: [UInt8], _ count: Int, to file: OpenFile, of source: ByteSource
  ) throws(FormatError) {
    var failure: FileError?
    bytes.withUnsafeBytes { bytes in
      do throws(FileError) {
        try file.write(UnsafeRawBufferPointer(rebasing: bytes[..<count]))
      } catch { failure = error }
    }
    if let failure { throw cannotUnpack(source, failure) }
  }

  /// One stream of compressed data.
  private final class Member {
    private let inflater: OpaquePointer
    private let source: ByteSource
    private(set) var hasEnded = false

    init(_ source: ByteSource) throws(FormatError) {
      guard let inflater = thaw_inflater_new(THAW_ZLIB_GZIP) else {
        throw FormatError(source.path, .tooLarge, "no memory to decompress it")
      }
      self.inflater = inflater
      self.source = source
    }

    deinit { thaw_inflater_free(inflater) }

    func step(
      _ input: [UInt8], _ used: Int, _ output: inout [UInt8], at place: Int
    ) throws(FormatError) -> (taken: Int, made: Int) {
      var (taken, made) = (0, 0)
      let status = input.withUnsafeBufferPointer { input in
        output.withUnsafeMutableBufferPointer { output in
          thaw_inflater_run(
            inflater, input.baseAddress.map { $0 + used }, input.count - used, &taken,
            output.baseAddress, output.count, &made, &hasEnded)
        }
      }
      guard status == THAW_ZLIB_OK else {
        throw FormatError(
          source.path, status == THAW_ZLIB_NO_MEMORY ? .tooLarge : .malformed,
          status == THAW_ZLIB_NO_MEMORY
            ? "no memory to decompress it" : "the compressed data is damaged", at: place)
      }
      return (taken, made)
    }
  }
}
