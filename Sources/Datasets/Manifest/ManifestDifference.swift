// SPDX-License-Identifier: Apache-2.0

package import SystemPackage

/// What distinguishes one manifest from a later one.
package struct ManifestDifference: Sendable, Equatable {
  /// Paths that only the later one has.
  package let added: [BytePath]
  /// Paths that only the earlier one has.
  package let removed: [BytePath]
  /// Paths with other contents, another class or another split.
  package let changed: [BytePath]
  /// Whether the class lists are equal, order included.
  package let classesAreEqual: Bool

  /// Whether training on either gives the same result. The time of a file's last change is not a
  /// difference.
  package var isEmpty: Bool {
    added.isEmpty && removed.isEmpty && changed.isEmpty && classesAreEqual
  }
}

extension ManifestDifference: CustomStringConvertible {
  /// One line a kind of difference with the first few paths.
  package var description: String {
    var lines: [String] = []
    if !classesAreEqual { lines.append("the class lists differ") }
    for (what, paths) in [("added", added), ("removed", removed), ("changed", changed)]
    where !paths.isEmpty {
      lines.append("\(paths.count) \(what): \(listed(paths))")
    }
    return lines.isEmpty ? "no difference" : lines.joined(separator: "\n")
  }
}

extension Manifest {
  /// What has changed from this manifest to `later`, path by path.
  package func difference(to later: Manifest) -> ManifestDifference {
    let before = Dictionary(uniqueKeysWithValues: records.map { ($0.path, $0) })
    let after = Dictionary(uniqueKeysWithValues: later.records.map { ($0.path, $0) })
    return ManifestDifference(
      added: later.records.map(\.path).filter { before[$0] == nil },
      removed: records.map(\.path).filter { after[$0] == nil },
      changed: records.compactMap { old in
        guard let new = after[old.path] else { return nil }
        let isSame =
          (old.sha256, old.className, old.split) == (new.sha256, new.className, new.split)
        return isSame ? nil : old.path
      },
      classesAreEqual: classes.map { Array($0.utf8) } == later.classes.map { Array($0.utf8) })
  }

  /// The files that are gone or whose size or time of change is not the manifest's. Opens nothing.
  ///
  /// - Parameter root: where the dataset is now; nil for where it was prepared.
  package func changedFiles(root: FilePath? = nil) -> [BytePath] {
    let root = root ?? self.root.filePath
    return records.filter { record in
      guard let status = try? PhotoFiles.status(of: record.path.resolved(in: root)) else {
        return true
      }
      return status.size != record.size || status.modified != record.modified
    }.map(\.path)
  }
}
