// SPDX-License-Identifier: Apache-2.0

import Glibc
package import SystemPackage
import ThawFiles

/// The right to write in a directory, also against other machines that share its file system.
///
/// On one machine it is the ``DirectoryLock`` that decides. Network file systems may not pass such locks
/// on, so whoever works on one also keeps `DIRECTORY/.lease` there: its host, its process and a number
/// that grows every few seconds. A lease of another machine that grows is in force; one that has stopped
/// growing was left behind by a crash and is taken over, after a wait of two beats.
package final class RunLease: Sendable {
  private let lock: DirectoryLock
  private let file: FilePath
  private let text: String
  private let heartbeat: Heartbeat?

  /// Seconds between two beats.
  package static let interval = 5.0

  /// Takes the right, or fails.
  ///
  /// - Parameters:
  ///   - isShared: whether to keep a lease; nil for where the file system is one of a network.
  ///   - kernel: of this machine; another one stands for another machine.
  /// - Throws: ``FileError`` with the reason `inUse` or `inUseElsewhere`.
  package init(
    _ directory: FilePath, isShared: Bool? = nil, interval: Double = RunLease.interval,
    host: String = HostName.current, kernel: String = HostName.kernel
  ) throws {
    lock = try DirectoryLock(directory)
    file = directory.appending(".lease")
    text = "\(kernel) \(getpid()) \(host)"
    try RunLease.requireNone(file, kernel: kernel, interval: interval)
    guard isShared ?? RunLease.isOnNetwork(directory) else {
      heartbeat = nil
      return
    }
    try FileSystem.remove(file)
    // Two that come at the same time: the file system lets one of them make the file.
    let made = file.withPlatformString { open($0, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o666) }
    guard made >= 0 else {
      throw FileError(directory, "lock", errno == EEXIST ? .inUse(process: nil) : .system(errno))
    }
    _ = close(made)
    let text = text
    heartbeat = try Heartbeat(file, text: text, interval: interval) {
      String(decoding: $0, as: UTF8.self).hasPrefix(text + " ")
    }
  }

  deinit { heartbeat?.stop() }

  /// Makes sure that the directory is still the one that was locked, and that nobody else has taken it.
  ///
  /// - Throws: ``FileError``.
  package func verify() throws {
    try lock.verify()
    guard heartbeat != nil else { return }
    let bytes = (try? FileSystem.read(file, limit: 4096)) ?? []
    guard String(decoding: bytes, as: UTF8.self).hasPrefix(text + " ") else {
      throw FileError(file.removingLastComponent(), "use", .removedWhileInUse)
    }
  }

  /// Fails when another machine's lease is in force.
  private static func requireNone(_ file: FilePath, kernel: String, interval: Double) throws {
    guard let first = try? FileSystem.read(file, limit: 4096) else { return }
    let words = String(decoding: first, as: UTF8.self).split(separator: " ", maxSplits: 2)
    // This machine's is decided by the lock, which we have.
    guard words.count == 3, words[0] != kernel else { return }
    for _ in 0..<Int(interval * 2.2 / 0.05) {
      usleep(50_000)
      guard let now = try? FileSystem.read(file, limit: 4096) else { return }
      guard now == first else {
        let host = words[2].split(separator: " ").first.map(String.init) ?? "another machine"
        throw FileError(
          file.removingLastComponent(), "lock",
          .inUseElsewhere(process: Int32(words[1]), host: host))
      }
    }
  }

  /// Whether other machines may see the directory: by the kind of its file system.
  ///
  /// - Source: `proc(5)`, `/proc/self/mounts`.
  static func isOnNetwork(_ directory: FilePath) -> Bool {
    guard let bytes = try? SystemText.of("/proc/self/mounts") else { return false }
    let resolved = directory.withPlatformString { realpath($0, nil) }
    defer { free(resolved) }
    let place = resolved.map { FilePath(platformString: $0) } ?? directory
    return isNetwork(kind(of: place, mounts: String(decoding: bytes, as: UTF8.self)))
  }

  /// The kind of the file system that a path is on: that of the deepest mount above it, the last of equals.
  static func kind(of path: FilePath, mounts: String) -> String {
    var best = (depth: -1, kind: "")
    for line in mounts.split(separator: "\n") {
      let words = line.split(separator: " ", maxSplits: 3)
      guard words.count == 4 else { continue }
      // Blanks are written in octal.
      let mount = FilePath(String(words[1]).replacing("\\040", with: " "))
      if path.starts(with: mount), mount.components.count >= best.depth {
        best = (mount.components.count, String(words[2]))
      }
    }
    return best.kind
  }

  private static func isNetwork(_ kind: String) -> Bool {
    let kinds: Set<String> = [
      "nfs", "nfs4", "cifs", "smb3", "smbfs", "lustre", "gpfs", "ceph", "9p", "afs", "beegfs",
      "ocfs2", "gfs2", "panfs", "pvfs2", "virtiofs", "glusterfs",
    ]
    return kinds.contains(kind) || kind.hasPrefix("fuse.")
  }
}
