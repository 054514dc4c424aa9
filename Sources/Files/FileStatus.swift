// SPDX-License-Identifier: Apache-2.0

import Glibc
package import SystemPackage

/// What a directory entry is.
package enum FileKind: Sendable, Hashable {
  /// A regular file.
  case regular
  case directory
  /// A symbolic link (only when links are not followed).
  case symbolicLink
  /// A pipe, socket or device.
  case other
}

/// Kind, size and identity of a file.
package struct FileStatus: Sendable, Hashable {
  /// What it is.
  package let kind: FileKind
  /// Size in bytes.
  package let size: Int
  /// Device and inode: equal for two names of one file.
  package let device: UInt64
  /// See ``device``.
  package let inode: UInt64
  /// Names the file has (hard links).
  package let linkCount: Int
  /// Last change of the contents, nanoseconds since 1970.
  package let modified: Int

  /// Asks the file system.
  ///
  /// - Parameter follow: whether a symbolic link is followed.
  /// - Throws: ``FileError`` when there is nothing at `path` or it may not be seen.
  package init(of path: FilePath, followingLinks follow: Bool = true) throws(FileError) {
    var raw = stat()
    let status = path.withPlatformString { follow ? stat($0, &raw) : lstat($0, &raw) }
    guard status == 0 else { throw FileError(path, "look at", .system(errno)) }
    self.init(raw)
  }

  /// What something that only looks like a file says of itself.
  package init(kind: FileKind, size: Int, device: UInt64, inode: UInt64, modified: Int) {
    self.kind = kind
    self.size = size
    self.device = device
    self.inode = inode
    linkCount = 1
    self.modified = modified
  }

  init(_ raw: stat) {
    switch raw.st_mode & S_IFMT {
    case S_IFREG: kind = .regular
    case S_IFDIR: kind = .directory
    case S_IFLNK: kind = .symbolicLink
    default: kind = .other
    }
    size = Int(raw.st_size)
    device = UInt64(raw.st_dev)
    inode = UInt64(raw.st_ino)
    linkCount = Int(raw.st_nlink)
    modified = Int(raw.st_mtim.tv_sec) * 1_000_000_000 + Int(raw.st_mtim.tv_nsec)
  }
}
