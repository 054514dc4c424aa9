// SPDX-License-Identifier: Apache-2.0

package import SystemPackage
import ThawFiles

// What several processes do with one journal: each has its own beside it, `JOURNAL.N`.
extension DatasetVerification {
  /// The journal of rank `rank`.
  package static func journal(of rank: Int, beside journal: FilePath) -> FilePath {
    FilePath(journal.string + ".\(rank)")
  }

  /// The files of `scan` of which `journal` says nothing, in order. It is read, and made where there is none.
  ///
  /// - Throws: `FileError`.
  package static func unknown(
    _ scan: FolderScan, verifier: some ImageVerifier, journal: FilePath
  ) throws -> [ScannedFile] {
    let known = VerificationJournal.entries(of: journal, verifier: verifier.identity)
    return scan.files.filter { known.result($0) == nil }
  }

  /// Adds the results in the journals of ranks to `journal`, and removes those journals.
  ///
  /// - Throws: `FileError`.
  package static func takeOver(
    journalsBeside journal: FilePath, verifier: some ImageVerifier
  ) throws {
    let (folder, name) = (journal.removingLastComponent(), journal.lastComponent?.string ?? "")
    let others = ((try? FileSystem.list(folder)) ?? []).filter { other in
      other.string.hasPrefix(name + ".")
        && other.string.dropFirst(name.count + 1).allSatisfy(\.isNumber)
    }
    guard !others.isEmpty else { return }
    let whole = try VerificationJournal(journal, verifier: verifier.identity)
    for other in others {
      let path = folder.pushing(FilePath(other.string))
      try whole.append(VerificationJournal.lines(of: path, verifier: verifier.identity))
      try FileSystem.remove(path)
    }
  }
}

extension FolderScan {
  /// The same with some of its files.
  package func only(_ files: [ScannedFile]) -> FolderScan {
    FolderScan(root: root, layout: layout, classes: classes, files: files, bad: [], notes: [])
  }
}
