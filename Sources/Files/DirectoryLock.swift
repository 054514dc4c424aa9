// SPDX-License-Identifier: Apache-2.0

import Glibc
package import SystemPackage

/// The right to write in a directory, held by one process at a time.
///
/// An advisory `flock` on `DIRECTORY/.lock`: the kernel lets go of it when the process ends, however
/// it ends, so a lock can never be stale. The file's text, the holder's process number, is only for
/// the message.
package final class DirectoryLock: Sendable {
  private let descriptor: Int32
  private let directory: FilePath

  /// Takes the lock, or fails at once.
  ///
  /// - Throws: ``FileError`` with ``FileError/Reason/inUse(process:)`` when another process holds it.
  package init(_ directory: FilePath) throws(FileError) {
    let file = try OpenFile(directory.appending(".lock"), O_RDWR | O_CREAT, "create")
    guard flock(file.descriptor, LOCK_EX | LOCK_NB) == 0 else {
      let code = errno
      let holder = DirectoryLock.holder(file)
      file.closeIgnoringErrors()
      let reason: FileError.Reason =
        code == EWOULDBLOCK ? .inUse(process: holder) : .system(code)
      throw FileError(directory, "lock", reason)
    }
    descriptor = file.descriptor
    self.directory = directory
    _ = ftruncate(descriptor, 0)
    let text = "\(getpid())\n"
    _ = text.withCString { Glibc.write(file.descriptor, $0, strlen($0)) }
  }

  /// Makes sure that the directory is still the one that was locked: what is written into files of a
  /// removed one is lost without any error.
  ///
  /// - Throws: ``FileError`` with ``FileError/Reason/removedWhileInUse``.
  package func verify() throws(FileError) {
    var held = stat()
    guard fstat(descriptor, &held) == 0,
      let now = try? FileStatus(of: directory.appending(".lock")),
      (now.device, now.inode) == (UInt64(held.st_dev), UInt64(held.st_ino))
    else { throw FileError(directory, "use", .removedWhileInUse) }
  }

  deinit { _ = close(descriptor) }

  private static func holder(_ file: OpenFile) -> Int32? {
    var bytes = [UInt8](repeating: 0, count: 16)
    let count = bytes.withUnsafeMutableBytes { (try? file.read(into: $0)) ?? 0 }
    return Int32(String(decoding: bytes.prefix(count).prefix { $0 != 10 }, as: UTF8.self))
  }
}
