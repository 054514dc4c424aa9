// SPDX-License-Identifier: Apache-2.0

import Glibc
package import SystemPackage

/// A file that appears under its name complete or not at all.
///
/// The contents go to `NAME.tmp.PID.RANDOM` in the same directory, are synced, renamed over the
/// name, and the directory is synced: after ``write(_:_:)`` returns they survive a loss of power, and
/// at no moment does the name hold a mixture of old and new.
package struct AtomicFile: ~Copyable {
  private let path: FilePath
  private let file: OpenFile
  private var isOpen = true

  private init(_ path: FilePath) throws(FileError) {
    let random = String(UInt32.random(in: 0 ... .max), radix: 16)
    let name = (path.lastComponent?.string ?? "file") + ".tmp.\(getpid()).\(random)"
    self.path = path
    let temporary = path.removingLastComponent().appending(name)
    do throws(FileError) {
      file = try OpenFile(temporary, O_WRONLY | O_CREAT | O_EXCL, "create")
    } catch {
      throw FileError(path, error.operation, error.reason)
    }
  }

  deinit {
    guard isOpen else { return }
    file.closeIgnoringErrors()
    try? FileSystem.remove(file.path)
  }

  /// Adds bytes at the end.
  ///
  /// - Throws: ``FileError`` with the errno, for example when the disk is full.
  package borrowing func append(_ bytes: UnsafeRawBufferPointer) throws(FileError) {
    try file.write(bytes)
  }

  /// Adds bytes at the end.
  package borrowing func append(_ bytes: [UInt8]) throws(FileError) {
    var failure: FileError?
    bytes.withUnsafeBytes { raw in
      do throws(FileError) { try file.write(raw) } catch { failure = error }
    }
    if let failure { throw failure }
  }

  /// Replaces bytes that were added already.
  package borrowing func replace(at offset: Int, with bytes: [UInt8]) throws(FileError) {
    var failure: FileError?
    bytes.withUnsafeBytes { raw in
      do throws(FileError) { try file.write(raw, at: offset) } catch { failure = error }
    }
    if let failure { throw failure }
  }

  private mutating func commit() throws(FileError) {
    try file.synchronize()
    isOpen = false
    do throws(FileError) {
      try file.close()
      let status = file.path.withPlatformString { old in
        path.withPlatformString { rename(old, $0) }
      }
      guard status == 0 else { throw FileError(path, "put in place", .system(errno)) }
    } catch {
      try? FileSystem.remove(file.path)
      throw error
    }
    try FileSystem.synchronizeDirectory(of: path)
  }

  /// Writes `path` anew with what `body` appends; on any error the old file stays and nothing else
  /// is left behind.
  ///
  /// - Throws: ``FileError``, or what `body` throws.
  package static func write(
    _ path: FilePath, _ body: (borrowing AtomicFile) throws -> Void
  ) throws {
    var file = try AtomicFile(path)
    do {
      try body(file)
      try file.commit()
    } catch let error as FileError where error.path == file.file.path {
      // The temporary name means nothing to anybody.
      throw FileError(path, error.operation, error.reason)
    }
  }

  /// Writes `path` anew with `bytes`.
  ///
  /// - Throws: ``FileError``.
  package static func write(_ path: FilePath, bytes: [UInt8]) throws {
    try write(path) { try $0.append(bytes) }
  }

  /// Writes `path` anew with the UTF-8 of `text`.
  ///
  /// - Throws: ``FileError``.
  package static func write(_ path: FilePath, text: String) throws {
    try write(path, bytes: Array(text.utf8))
  }
}

extension FileSystem {
  /// Makes a rename in the directory of `path` durable.
  ///
  /// - Throws: ``FileError``.
  package static func synchronizeDirectory(of path: FilePath) throws(FileError) {
    let parent = path.removingLastComponent()
    let directory = try OpenFile(
      parent.isEmpty ? "." : parent, O_RDONLY | O_DIRECTORY, "open the directory")
    defer { directory.closeIgnoringErrors() }
    // Some file systems cannot sync a directory and say EINVAL; there is nothing more to do there.
    guard fsync(directory.descriptor) == 0 || errno == EINVAL else {
      throw FileError(parent, "sync", .system(errno))
    }
  }
}
