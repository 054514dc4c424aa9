// SPDX-License-Identifier: Apache-2.0

import Glibc
package import SystemPackage

/// An open file descriptor and the path to name in errors. Close it with ``close()``.
package struct OpenFile {
  package let path: FilePath
  package let descriptor: Int32

  package init(
    _ path: FilePath, _ flags: Int32, _ operation: String
  ) throws(FileError) {
    self.path = path
    descriptor = path.withPlatformString { open($0, flags | O_CLOEXEC, 0o666 as mode_t) }
    guard descriptor >= 0 else { throw FileError(path, operation, .system(errno)) }
  }

  package func status() throws(FileError) -> FileStatus {
    var raw = stat()
    guard fstat(descriptor, &raw) == 0 else { throw FileError(path, "look at", .system(errno)) }
    return FileStatus(raw)
  }

  /// Reads until `buffer` is full or the file ends; returns the number of bytes.
  package func read(into buffer: UnsafeMutableRawBufferPointer) throws(FileError) -> Int {
    var filled = 0
    while filled < buffer.count, let base = buffer.baseAddress {
      let count = Glibc.read(descriptor, base + filled, buffer.count - filled)
      if count < 0 && errno == EINTR { continue }
      guard count >= 0 else { throw FileError(path, "read", .system(errno)) }
      if count == 0 { break }
      filled += count
    }
    return filled
  }

  /// Reads from `offset`, leaving the current position alone, until `buffer` is full or the file ends;
  /// returns the number of bytes.
  package func read(
    into buffer: UnsafeMutableRawBufferPointer, at offset: Int
  ) throws(FileError) -> Int {
    var filled = 0
    while filled < buffer.count, let base = buffer.baseAddress {
      let count = pread(descriptor, base + filled, buffer.count - filled, off_t(offset + filled))
      if count < 0 && errno == EINTR { continue }
      guard count >= 0 else { throw FileError(path, "read", .system(errno)) }
      if count == 0 { break }
      filled += count
    }
    return filled
  }

  /// Makes the file `size` bytes long.
  package func cut(to size: Int) throws(FileError) {
    guard ftruncate(descriptor, off_t(size)) == 0 else {
      throw FileError(path, "cut", .system(errno))
    }
  }

  /// Writes everything, at the current position.
  package func write(_ bytes: UnsafeRawBufferPointer) throws(FileError) {
    var written = 0
    while written < bytes.count, let base = bytes.baseAddress {
      let count = Glibc.write(descriptor, base + written, bytes.count - written)
      if count < 0 && errno == EINTR { continue }
      guard count > 0 else {
        throw FileError(path, "write", .system(count == 0 ? EIO : errno))
      }
      written += count
    }
  }

  /// Writes everything at `offset`, leaving the current position alone.
  package func write(_ bytes: UnsafeRawBufferPointer, at offset: Int) throws(FileError) {
    var written = 0
    while written < bytes.count, let base = bytes.baseAddress {
      let count = pwrite(descriptor, base + written, bytes.count - written, off_t(offset + written))
      if count < 0 && errno == EINTR { continue }
      guard count > 0 else {
        throw FileError(path, "write", .system(count == 0 ? EIO : errno))
      }
      written += count
    }
  }

  /// Waits until the contents are on the disk. A failed call is final: the kernel may have dropped
  /// the pages, so trying again could report success for data that is gone.
  package func synchronize() throws(FileError) {
    guard fsync(descriptor) == 0 else { throw FileError(path, "sync", .system(errno)) }
  }

  package func close() throws(FileError) {
    guard Glibc.close(descriptor) == 0 else { throw FileError(path, "close", .system(errno)) }
  }

  package func closeIgnoringErrors() { _ = Glibc.close(descriptor) }
}
