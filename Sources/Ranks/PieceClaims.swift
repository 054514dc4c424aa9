// SPDX-License-Identifier: Apache-2.0

import Glibc
package import SystemPackage
package import ThawFiles

/// Who does which piece of a work that several ranks share, without messages: whoever makes a piece's
/// file first. Each begins with its own pieces; when those are done it takes over the others' that nobody
/// has begun, from the end.
package struct PieceClaims: Sendable {
  private let folder: FilePath

  /// - Parameter folder: on a file system that all ranks see; empty at the start of the work.
  package init(_ folder: FilePath) { self.folder = folder }

  /// The order in which rank `rank` asks for pieces: its own, then the others' backwards.
  package static func order(pieces: Int, rank: Int, of ranks: Int) -> [Int] {
    let own = (0..<pieces).filter { $0 % ranks == rank }
    return own + (0..<pieces).reversed().filter { $0 % ranks != rank }
  }

  /// Takes a piece; false when somebody has it.
  ///
  /// - Throws: `FileError`.
  package func claim(_ piece: Int) throws(FileError) -> Bool {
    let file = folder.appending("\(piece)")
    let made = file.withPlatformString { open($0, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o666) }
    if made >= 0 {
      _ = close(made)
      return true
    }
    guard errno == EEXIST else { throw FileError(file, "create", .system(errno)) }
    return false
  }

  /// Removes the files of a work that is done, and the folder.
  package func remove() {
    for name in (try? FileSystem.list(folder)) ?? [] {
      try? FileSystem.remove(folder.appending(name))
    }
    _ = folder.withPlatformString { rmdir($0) }
  }
}
