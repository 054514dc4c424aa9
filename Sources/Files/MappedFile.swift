// SPDX-License-Identifier: Apache-2.0

import Glibc
package import SystemPackage

/// A file of our own seen as read-only memory.
///
/// Only for files that Thaw writes by renaming (the feature cache): someone else's file could shrink
/// under the mapping, and reading past its end kills the process.
package final class MappedFile: @unchecked Sendable {
  private let bytes: UnsafeRawBufferPointer

  /// Size in bytes.
  package var count: Int { bytes.count }

  /// Maps all of `path`.
  ///
  /// - Throws: ``FileError``.
  package init(_ path: FilePath) throws(FileError) {
    let file = try OpenFile(path, O_RDONLY, "open")
    defer { file.closeIgnoringErrors() }
    let size = try file.status().size
    guard size > 0 else {
      bytes = UnsafeRawBufferPointer(start: nil, count: 0)
      return
    }
    guard let base = mmap(nil, size, PROT_READ, MAP_SHARED, file.descriptor, 0), base != MAP_FAILED
    else { throw FileError(path, "map", .system(errno)) }
    bytes = UnsafeRawBufferPointer(start: base, count: size)
  }

  /// Calls `body` with the contents; the pointer is valid during the call only.
  package func withUnsafeBytes<Result>(
    _ body: (UnsafeRawBufferPointer) throws -> Result
  ) rethrows -> Result {
    try withExtendedLifetime(self) { try body(bytes) }
  }

  deinit {
    if let base = bytes.baseAddress { munmap(UnsafeMutableRawPointer(mutating: base), bytes.count) }
  }
}
