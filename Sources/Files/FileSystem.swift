// SPDX-License-Identifier: Apache-2.0

import Glibc
package import SystemPackage

/// Reading files and directories by their byte names.
///
/// Foundation turns names that are not UTF-8 into other names, and Swift strings take two spellings
/// of one letter for equal; so paths are bytes here (`FilePath`).
package enum FileSystem {
  /// Whether something exists at `path` (links followed).
  package static func exists(_ path: FilePath) -> Bool { (try? FileStatus(of: path)) != nil }

  /// The names in a directory without `.` and `..`, in byte order.
  ///
  /// - Throws: ``FileError``.
  package static func list(_ directory: FilePath) throws(FileError) -> [FilePath.Component] {
    guard let stream = directory.withPlatformString({ opendir($0) }) else {
      throw FileError(directory, "list", .system(errno))
    }
    defer { closedir(stream) }
    var names: [[UInt8]] = []
    errno = 0
    while let entry = readdir(stream) {
      let name = FileSystem.name(of: entry)
      if name != [0x2E] && name != [0x2E, 0x2E] { names.append(name) }
      errno = 0
    }
    guard errno == 0 else { throw FileError(directory, "list", .system(errno)) }
    names.sort { $0.lexicographicallyPrecedes($1) }
    return names.compactMap { name in
      (name.map(CChar.init(bitPattern:)) + [0]).withUnsafeBufferPointer { bytes in
        bytes.baseAddress.flatMap { FilePath.Component(platformString: $0) }
      }
    }
  }

  /// The bytes of an entry's name. Only they are read: the entry may end right behind them, short of
  /// the 256 bytes that its type declares.
  private static func name(of entry: UnsafeMutablePointer<dirent>) -> [UInt8] {
    guard let offset = MemoryLayout<dirent>.offset(of: \.d_name) else { return [] }
    let start = UnsafeRawPointer(entry) + offset
    return Array(
      UnsafeRawBufferPointer(start: start, count: strlen(start.assumingMemoryBound(to: CChar.self)))
    )
  }

  /// The whole of a regular file.
  ///
  /// Never hangs on a pipe or device. The file is read, not mapped: a dataset may change under us.
  ///
  /// - Parameter limit: the largest accepted size in bytes.
  /// - Throws: ``FileError``, also when the size changes during the call.
  package static func read(_ path: FilePath, limit: Int = .max) throws(FileError) -> [UInt8] {
    let file = try OpenFile(path, O_RDONLY | O_NONBLOCK, "open")
    defer { file.closeIgnoringErrors() }
    let status = try file.status()
    guard status.kind == .regular else { throw FileError(path, "read", .notRegular) }
    guard status.size <= limit else {
      throw FileError(path, "read", .tooLarge(size: status.size, limit: limit))
    }
    var failure: FileError?
    let bytes = [UInt8](unsafeUninitializedCapacity: status.size + 1) { buffer, count in
      do throws(FileError) {
        count = try file.read(into: UnsafeMutableRawBufferPointer(buffer))
      } catch {
        failure = error
      }
    }
    if let failure { throw failure }
    guard bytes.count == status.size else {
      throw FileError(
        path, "read", .changedWhileReading(expected: status.size, found: bytes.count))
    }
    return bytes
  }

  /// Calls `body` with the contents of a regular file, a megabyte at a time.
  ///
  /// - Throws: ``FileError``, what `body` throws.
  package static func forEachPiece(
    of path: FilePath, _ body: (UnsafeRawBufferPointer) throws -> Void
  ) throws {
    let file = try OpenFile(path, O_RDONLY | O_NONBLOCK, "open")
    defer { file.closeIgnoringErrors() }
    guard try file.status().kind == .regular else { throw FileError(path, "read", .notRegular) }
    let piece = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 20, alignment: 64)
    defer { piece.deallocate() }
    while true {
      let count = try file.read(into: piece)
      if count > 0 { try body(UnsafeRawBufferPointer(rebasing: piece[..<count])) }
      if count < piece.count { return }
    }
  }

  /// Copies a regular file; the copy appears complete or not at all.
  ///
  /// - Throws: ``FileError``.
  package static func copy(_ path: FilePath, to target: FilePath) throws {
    try AtomicFile.write(target) { file in try forEachPiece(of: path) { try file.append($0) } }
  }

  /// Gives a finished file its name, durably, replacing what was there. Same file system only.
  ///
  /// - Throws: ``FileError``.
  package static func move(_ path: FilePath, to target: FilePath) throws(FileError) {
    let file = try OpenFile(path, O_RDONLY, "open")
    defer { file.closeIgnoringErrors() }
    try file.synchronize()
    let status = path.withPlatformString { old in target.withPlatformString { rename(old, $0) } }
    guard status == 0 else { throw FileError(target, "put in place", .system(errno)) }
    try synchronizeDirectory(of: target)
  }

  /// Creates a directory and those above it; does nothing when it exists.
  ///
  /// - Throws: ``FileError``.
  package static func createDirectory(_ path: FilePath) throws(FileError) {
    if let status = try? FileStatus(of: path) {
      guard status.kind == .directory else {
        throw FileError(path, "create the directory", .system(ENOTDIR))
      }
      return
    }
    let parent = path.removingLastComponent()
    if !parent.isEmpty && parent != path { try createDirectory(parent) }
    let status = path.withPlatformString { mkdir($0, 0o777) }
    guard status == 0 || errno == EEXIST else {
      throw FileError(path, "create the directory", .system(errno))
    }
  }

  /// Removes one file; does nothing when it is absent.
  ///
  /// - Throws: ``FileError``.
  package static func remove(_ path: FilePath) throws(FileError) {
    guard path.withPlatformString({ unlink($0) }) == 0 || errno == ENOENT else {
      throw FileError(path, "remove", .system(errno))
    }
  }

  /// Free bytes on the volume of `path` for an ordinary user; nil when that cannot be told.
  package static func freeSpace(at path: FilePath) -> Int? {
    var raw = statvfs()
    guard path.withPlatformString({ statvfs($0, &raw) }) == 0 else { return nil }
    return Int(
      clamping: UInt64(raw.f_bavail).multipliedReportingOverflow(by: UInt64(raw.f_frsize)).0)
  }
}
