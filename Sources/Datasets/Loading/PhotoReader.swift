// SPDX-License-Identifier: Apache-2.0

import Glibc
import SystemPackage
import ThawFiles

/// Reads photos into one buffer that only grows. Owned by one thread.
///
/// The files are someone else's: they are read, never mapped, and compared with what the manifest
/// says of them.
package final class PhotoReader {
  private var buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 16, alignment: 64)

  package init() {}

  deinit { buffer.deallocate() }

  /// The contents, valid until the next call.
  ///
  /// - Throws: ``DatasetError`` that names the path.
  package func read(_ item: PrefetchingLoader.Item) throws(DatasetError) -> UnsafeRawBufferPointer {
    let bytes: UnsafeRawBufferPointer
    do throws(FileError) { bytes = try read(item.path, expecting: item.size) } catch {
      throw PhotoReader.datasetError(error, item)
    }
    if let expected = item.sha256 {
      var hash = SHA256()
      hash.update(bytes)
      guard hash.hexadecimalDigest == expected else { throw .contentsChanged(item.path) }
    }
    return bytes
  }

  private func read(
    _ path: FilePath, expecting expected: Int?
  ) throws(FileError) -> UnsafeRawBufferPointer {
    let file: OpenFile
    do throws(FileError) { file = try OpenFile(path, O_RDONLY | O_NONBLOCK, "open") } catch {
      guard error.reason == .system(ENOTDIR) else { throw error }
      return try readFromArchive(path, expecting: expected)
    }
    defer { file.closeIgnoringErrors() }
    let status = try file.status()
    guard status.kind == .regular else { throw FileError(path, "read", .notRegular) }
    try PhotoReader.require(status.size, path, expected)
    reserve(status.size + 1)
    let count = try file.read(into: buffer)
    guard count == status.size else {
      throw FileError(path, "read", .changedWhileReading(expected: status.size, found: count))
    }
    return UnsafeRawBufferPointer(rebasing: buffer[..<count])
  }

  private func readFromArchive(
    _ path: FilePath, expecting expected: Int?
  ) throws(FileError) -> UnsafeRawBufferPointer {
    let bytes = try PhotoFiles.read(path)
    try PhotoReader.require(bytes.count, path, expected)
    reserve(bytes.count + 1)
    bytes.withUnsafeBytes { buffer.copyMemory(from: $0) }
    return UnsafeRawBufferPointer(rebasing: buffer[..<bytes.count])
  }

  private static func require(
    _ size: Int, _ path: FilePath, _ expected: Int?
  ) throws(FileError) {
    guard let expected, expected != size else { return }
    throw FileError(path, "read", .changedWhileReading(expected: expected, found: size))
  }

  private func reserve(_ size: Int) {
    guard size > buffer.count else { return }
    buffer.deallocate()
    buffer = .allocate(byteCount: size + size / 2, alignment: 64)
  }

  private static func datasetError(
    _ error: FileError, _ item: PrefetchingLoader.Item
  ) -> DatasetError {
    switch error.reason {
    case .changedWhileReading(let old, let new): .changed(item.path, oldSize: old, newSize: new)
    case .system(ENOENT): .changed(item.path, oldSize: item.size ?? 0, newSize: nil)
    case _ where error.isExhaustion: .system(error)
    default: .unusable(item.path, reason: error.photoReason)
    }
  }
}
