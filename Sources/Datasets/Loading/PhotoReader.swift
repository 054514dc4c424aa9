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
    do throws(FileError) {
      let file = try OpenFile(item.path, O_RDONLY | O_NONBLOCK, "open")
      defer { file.closeIgnoringErrors() }
      let status = try file.status()
      guard status.kind == .regular else { throw FileError(item.path, "read", .notRegular) }
      if let expected = item.size, expected != status.size {
        throw FileError(
          item.path, "read", .changedWhileReading(expected: expected, found: status.size))
      }
      reserve(status.size + 1)
      let count = try file.read(into: buffer)
      guard count == status.size else {
        throw FileError(
          item.path, "read", .changedWhileReading(expected: status.size, found: count))
      }
      bytes = UnsafeRawBufferPointer(rebasing: buffer[..<count])
    } catch {
      throw PhotoReader.datasetError(error, item)
    }
    if let expected = item.sha256 {
      var hash = SHA256()
      hash.update(bytes)
      guard hash.hexadecimalDigest == expected else { throw .contentsChanged(item.path) }
    }
    return bytes
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
