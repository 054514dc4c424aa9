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
    do throws(FileError) { status = try PhotoFiles.status(of: root) } catch {
      throw .notAFolder(root, error.reason)
    }
    for file in [table.file] + table.others { walker.passOver(file) }
    let present = walker.photos(below: BytePath(bytes: []), status)
    var files: [ScannedFile] = []
    var bad = walker.bad
    let index = Index(present, root: root, table: table.file)
    var classesOfBad: [BytePath: String] = [:]
    var named: [(path: BytePath, status: FileStatus, row: LabelTable.Row)] = []
    for row in table.rows {
      guard let (path, status) = try index.find(row.path, table, row.line) else {
        classesOfBad[BytePath(row.path)] =
          table.rowsAreSets ? row.labels.text : row.labels.present.first
        bad.append(
          BadFile(
            path: BytePath(row.path),
            reason:
              "named in line \(row.line) of \((row.file ?? table.file).displayed), but not there"))
        continue
      }
      named.append((path, status, row))
    }
    let merged = try MergedRows(
      named.map { ($0.path, $0.row) }, of: table, isForTraining: options.requiresTraining,
      conflicts: conflicts)
    var lines: Set<BytePath> = []
    for (path, status, row) in named where lines.insert(path).inserted {
      if row.isSpeltOtherwise { walker.note(.labelSpelling, path) }
      guard let labels = merged.labels[path] else { continue }
      files.append(
        ScannedFile(
          path: path, className: merged.isSeveral ? labels.text : labels.present.first ?? "",
          split: row.split, status: status, group: row.group,
          labels: merged.isSeveral ? labels : nil))
    }
    for path in merged.contradicting.sorted() { walker.note(.contradictingLabel, path) }
    for (path, _) in present where !lines.contains(path) { walker.note(.unlisted, path) }
    if let exhaustion = walker.exhaustion { throw .system(exhaustion) }
    files.sort { $0.path < $1.path }
    let names = Set(files.flatMap(\.classNames)).sorted(by: LabelSet.precedes)
    guard !files.isEmpty else {
      let first = table.rows.first.map { ", the first being '\($0.path)'" } ?? ""
      throw .mismatchedTable(
        table.file, line: table.rows.first?.line,
        problem:
          "none of the \(counted(table.rows.count, "photo")) it names is in \(root.displayed)\(first). Paths are"
          + " taken below that folder, or below the table's")
    }
    guard let only = names.first else {
      throw .mismatchedTable(table.file, line: nil, problem: "no photo that it names has a label")
    }
    if options.requiresAllClasses, names.count == 1, !merged.isSeveral {
      throw .singleClass(root, name: only, nested: [])
    }
    let hasSplits = files.contains { $0.split != nil }
    return FolderScan(
      root: root, layout: hasSplits ? .splits : .classes, classes: names, files: files,
      bad: bad.sorted { $0.path < $1.path }, classesOfBad: classesOfBad, notes: walker.notes.all,
      remarks: merged.remarks(names), warnings: merged.warnings,
      columnClasses: merged.isSeveral && table.namedClasses.count > 0 ? table.namedClasses : nil)
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
