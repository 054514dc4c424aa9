// SPDX-License-Identifier: Apache-2.0

package import SystemPackage
import ThawFiles

/// Finds the photos that a table of labels names.
package enum TableScanner {
  /// Looks the photos up without opening them.
  ///
  /// A path is taken below `root`, or else below the folder of the table, wherever that lies; a name without an ending
  /// (`id_code`) is a file of that name with one. Files that the table names and that are not there are
  /// bad files; photos that it does not name are noted. A photo with several labels is left out where
  /// `conflicts` says so; one file cannot be kept under two.
  ///
  /// - Throws: ``DatasetError``.
  package static func scan(
    _ root: FilePath, table: LabelTable, options: FolderScanner.Options,
    conflicts: ConflictPolicy = .stop
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
    var classesOfBad: [BytePath: String] = [:]
    var contradicting: Set<BytePath> = []
    for row in table.rows {
      guard let (path, status) = try index.find(row.path, table, row.line) else {
        classesOfBad[BytePath(row.path)] = row.label
        bad.append(
          BadFile(
            path: BytePath(row.path),
            reason: "named in line \(row.line) of \(table.file.displayed), but not there"))
        continue
      }
      if let first = lines[path] {
        if try !row.agrees(with: first, in: table, conflicts) { contradicting.insert(path) }
        continue
      }
      lines[path] = row
      if row.isSpeltOtherwise { walker.note(.labelSpelling, path) }
      files.append(
        ScannedFile(
          path: path, className: row.label, split: row.split, status: status, group: row.group))
    }
    files.removeAll { contradicting.contains($0.path) }
    for path in contradicting.sorted() { walker.note(.contradictingLabel, path) }
    for (path, _) in present where lines[path] == nil { walker.note(.unlisted, path) }
    if let exhaustion = walker.exhaustion { throw .system(exhaustion) }
    files.sort { $0.path < $1.path }
    let names = Set(files.map(\.className)).sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }
    guard let only = names.first else {
      let first = table.rows.first.map { ", the first being '\($0.path)'" } ?? ""
      throw .mismatchedTable(
        table.file, line: table.rows.first?.line,
        problem:
          "none of the \(table.rows.count) photos it names is in \(root.displayed)\(first). Paths are"
          + " taken below that folder, or below the table's")
    }
    if options.requiresAllClasses, names.count == 1 {
      throw .singleClass(root, name: only, nested: [])
    }
    let hasSplits = files.contains { $0.split != nil }
    return FolderScan(
      root: root, layout: hasSplits ? .splits : .classes, classes: names, files: files,
      bad: bad.sorted { $0.path < $1.path }, classesOfBad: classesOfBad, notes: walker.notes.all)
  }

  /// The photos that are there, by the names that a table may use.
  private struct Index {
    private var byPath: [BytePath: FileStatus] = [:]
    private var byStem: [String: [BytePath]] = [:]
    private let root: FilePath
    private let tableFolder: FilePath

    init(_ photos: [(BytePath, FileStatus)], root: FilePath, table: FilePath) {
      for (path, status) in photos {
        byPath[path] = status
        let name = path.lastComponent
        let stem = name.lastIndex(of: 0x2E).map { Array(name[..<$0]) } ?? name
        byStem[String(decoding: stem, as: UTF8.self), default: []].append(path)
      }
      self.root = root.canonical ?? root
      let folder = table.removingLastComponent()
      tableFolder = (folder.isEmpty ? "." : folder).canonical ?? folder
    }

    /// What of `name`, taken below the table's folder or as an absolute path, lies below the root.
    private func besideTable(_ name: String) -> BytePath? {
      var place = tableFolder.pushing(FilePath(name)).lexicallyNormalized()
      guard place.removePrefix(root), !place.isEmpty else { return nil }
      return BytePath(place)
    }

    /// - Throws: ``DatasetError/mismatchedTable(_:line:problem:)`` for a name that several photos have.
    func find(
      _ text: String, _ table: LabelTable, _ line: Int
    ) throws(DatasetError) -> (BytePath, FileStatus)? {
      var name = text
      while name.hasPrefix("./") { name.removeFirst(2) }
      // Tables that Windows wrote.
      let turned = name.replacing("\\", with: "/")
      let candidates = [BytePath(name), besideTable(name), BytePath(turned), besideTable(turned)]
      for candidate in candidates.compactMap(\.self) {
        if let status = byPath[candidate] { return (candidate, status) }
      }
      let alike = byStem[name] ?? []
      guard alike.count < 2 else {
        throw .mismatchedTable(
          table.file, line: line, problem: "'\(text)' may be any of \(listed(alike, limit: 3))")
      }
      guard let path = alike.first, let status = byPath[path] else { return nil }
      return (path, status)
    }
  }
}

extension LabelTable.Row {
  /// Whether a second row of one photo says the same; false when the photo is to be left out.
  ///
  /// - Throws: ``DatasetError/mismatchedTable(_:line:problem:)``.
  fileprivate func agrees(
    with first: Self, in table: LabelTable, _ conflicts: ConflictPolicy
  ) throws(DatasetError) -> Bool {
    func mismatch(_ problem: String) -> DatasetError {
      .mismatchedTable(table.file, line: line, problem: "'\(path)' has \(problem)")
    }
    guard first.split == split, first.group == group else {
      throw mismatch("another split or group than in line \(first.line)")
    }
    guard first.label != label else { return true }
    switch conflicts {
    case .drop: return false
    case .stop:
      throw mismatch(
        "another label than in line \(first.line). Correct it, or leave such photos out with"
          + " --conflicting-labels drop")
    case .keep:
      throw mismatch(
        "another label than in line \(first.line), and one file cannot be kept under both"
          + " (--conflicting-labels keep is for copies). Correct it, or leave such photos out with"
          + " --conflicting-labels drop")
    }
  }
}
