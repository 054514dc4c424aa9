// SPDX-License-Identifier: Apache-2.0

import Glibc
package import SystemPackage
import ThawFiles

extension FeatureCache {
  /// The cache of one key on disk.
  package struct Summary: Sendable, Hashable {
    /// The key, 64 lower-case hexadecimal digits.
    package let key: String
    /// Bytes on disk.
    package let size: Int
  }

  /// The caches in `directory`, by key; empty when there is no such directory.
  ///
  /// - Throws: `FileError`.
  package static func list(_ directory: FilePath) throws -> [Summary] {
    guard FileSystem.exists(directory) else { return [] }
    return try FileSystem.list(directory).compactMap { name in
      guard hexadecimalBytes(name.string)?.count == 32 else { return nil }
      let place = FeatureCachePlace(directory: directory.appending(name))
      let sizes = try place.all().flatMap { [$0.rows, $0.index] }
        .map { (try? FileStatus(of: $0))?.size ?? 0 }
      return Summary(key: name.string, size: sizes.reduce(0, +))
    }
  }

  /// Deletes the caches in `directory` of keys that are not in `kept` and that no process has open.
  /// Nothing else ever deletes one.
  ///
  /// - Returns: the caches that were deleted.
  /// - Throws: `FileError`.
  @discardableResult
  package static func prune(_ directory: FilePath, keeping kept: Set<String>) throws -> [Summary] {
    try list(directory).filter { summary in
      guard !kept.contains(summary.key) else { return false }
      let place = FeatureCachePlace(directory: directory.appending(summary.key))
      guard let lock = try unused(place.directory) else { return false }
      defer { withExtendedLifetime(lock) {} }
      for name in try FileSystem.list(place.directory) {
        try FileSystem.remove(place.directory.appending(name))
      }
      return place.directory.withPlatformString { rmdir($0) } == 0
    }
  }

  /// The lock of a cache that nobody has open; nil when somebody has.
  private static func unused(_ directory: FilePath) throws(FileError) -> DirectoryLock? {
    do throws(FileError) { return try DirectoryLock(directory) } catch {
      guard case .inUse = error.reason else { throw error }
      return nil
    }
  }
}
