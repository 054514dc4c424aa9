// SPDX-License-Identifier: Apache-2.0

package import SystemPackage

extension AtomicFile {
  /// The name that a temporary file was going to get; nil for a name that no temporary file has.
  ///
  /// `model.safetensors.tmp.4711.9f3a` was going to be `model.safetensors`.
  package static func finalName(ofTemporary name: String) -> String? {
    origin(ofTemporary: name)?.finalName
  }

  /// The same, and the number of the process that writes it.
  package static func origin(ofTemporary name: String) -> (finalName: String, process: Int32)? {
    let parts = name.split(separator: ".", omittingEmptySubsequences: false)
    guard parts.count >= 4, parts[parts.count - 3] == "tmp",
      let process = Int32(parts[parts.count - 2]), UInt32(parts[parts.count - 1], radix: 16) != nil
    else { return nil }
    return (parts.dropLast(3).joined(separator: "."), process)
  }

  /// Removes what killed processes had begun to write in `directory`, as far as it goes; a file that
  /// cannot be removed is left there. For the holder of a lock: what nobody else may write and is
  /// unfinished is nobody's.
  ///
  /// - Parameter isOurs: whether the file of that (final) name is only written under the lock.
  package static func removeLeftovers(in directory: FilePath, where isOurs: (String) -> Bool) {
    guard FileSystem.exists(directory), let names = try? FileSystem.list(directory) else { return }
    for name in names {
      guard let final = finalName(ofTemporary: name.string), isOurs(final) else { continue }
      // It only takes room: whatever hinders the removal must not hinder the work.
      try? FileSystem.remove(directory.appending(name))
    }
  }
}
