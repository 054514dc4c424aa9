// SPDX-License-Identifier: Apache-2.0

package import SystemPackage
import ThawFiles

/// Finds the photos that a table of labels names.
package enum TableScanner {
  /// Looks the photos up without opening them.
  ///
  /// A path is taken below `root`, or else below the folder of the table; a name without an ending
  /// (`id_code`) is a file of that name with one. Files that the table names and that are not there are
  /// bad files; photos that it does not name are noted.
  ///
  /// - Throws: ``DatasetError``.
  package static func scan(
    _ root: FilePath, table: LabelTable, options: FolderScanner.Options
  ) throws(DatasetError) -> FolderScan {
    try FolderScanner.check(root, options.output)
    var walker = FolderWalker(root: root)
    let status: FileStatus
    do throws(FileError) { status = try FileStatus(of: root) } catch {
      throw .notAFolder(root, error.reason)
    }
    // The table itself is no photo, and nothing to be noted.
    let present = walker.photos(below: BytePath(bytes: []), status)
    var files: [ScannedFile] = []
    var bad = walker.bad
    let index = Index(present, root: root, table: table.file)
    var lines: [BytePath: LabelTable.Row] = [:]
    for row in table.rows {
      guard let (path, status) = try index.find(row.path, table, row.line) else {
        bad.append(
          BadFile(
            path: BytePath(row.path),
            reason: "named in line \(row.line) of \(table.file.displayed), but not there"))
        continue
      }
      if let first = lines[path] {
        guard first.label == row.label, first.split == row.split else {
          throw .badTable(
            table.file, line: row.line,
            problem: "'\(row.path)' has another label or split than in line \(first.line)")
        }
        continue
      }
      lines[path] = row
      files.append(
        ScannedFile(
          path: path, className: row.label, split: row.split, status: status, group: row.group))
    }
    for (path, _) in present where lines[path] == nil { walker.note(.unlisted, path) }
    if let exhaustion = walker.exhaustion { throw .system(exhaustion) }
    files.sort { $0.path < $1.path }
    let names = Set(files.map(\.className)).sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }
    guard let only = names.first else { throw .noClasses(root) }
    if options.requiresAllClasses, names.count == 1 {
      throw .singleClass(root, name: only, nested: [])
    }
    let hasSplits = files.contains { $0.split != nil }
    return FolderScan(
      root: root, layout: hasSplits ? .splits : .classes, classes: names, files: files,
      bad: bad.sorted { $0.path < $1.path }, notes: walker.notes.all)
  }

  /// The photos that are there, by the names that a table may use.
  private struct Index {
    private var byPath: [BytePath: FileStatus] = [:]
    private var byStem: [String: [BytePath]] = [:]
    /// The table's folder below the root; nil when it lies elsewhere.
    private let tableFolder: BytePath?

    init(_ photos: [(BytePath, FileStatus)], root: FilePath, table: FilePath) {
      for (path, status) in photos {
        byPath[path] = status
        let name = path.lastComponent
        let stem = name.lastIndex(of: 0x2E).map { Array(name[..<$0]) } ?? name
        byStem[String(decoding: stem, as: UTF8.self), default: []].append(path)
      }
      let folder = table.removingLastComponent()
      if let inside = root.canonical, var place = (folder.isEmpty ? "." : folder).canonical,
        place.removePrefix(inside)
      {
        tableFolder = BytePath(place)
      } else {
        tableFolder = nil
      }
    }

    /// - Throws: ``DatasetError/badTable(_:line:problem:)`` for a name that several photos have.
    func find(
      _ text: String, _ table: LabelTable, _ line: Int
    ) throws(DatasetError) -> (BytePath, FileStatus)? {
      var name = text
      while name.hasPrefix("./") { name.removeFirst(2) }
      var candidates = [BytePath(name)]
      if let tableFolder, !tableFolder.bytes.isEmpty {
        candidates.append(BytePath(bytes: tableFolder.bytes + [0x2F] + Array(name.utf8)))
      }
      for candidate in candidates {
        if let status = byPath[candidate] { return (candidate, status) }
      }
      let alike = byStem[name] ?? []
      guard alike.count < 2 else {
        throw .badTable(
          table.file, line: line, problem: "'\(text)' may be any of \(listed(alike, limit: 3))")
      }
      guard let path = alike.first, let status = byPath[path] else { return nil }
      return (path, status)
    }
  }
}
