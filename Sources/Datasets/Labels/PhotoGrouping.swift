// SPDX-License-Identifier: Apache-2.0

/// What binds photos together, so that they lie in one split: a patient, a plant, a site.
package enum PhotoGrouping: Sendable {
  /// The first folder below the class, by its name; where a table gives the label and no
  /// folder has its name, the folder that the photo lies in.
  case folder
  /// What a pattern's first group, or the whole of it, matches in the path.
  case pattern(String)
  /// A column of the table of labels.
  case column(String)

  /// `folder`; a pattern, which has parentheses; or a column's name.
  package init(_ text: String) {
    self = text == "folder" ? .folder : text.contains("(") ? .pattern(text) : .column(text)
  }

  /// The scan with a group for every photo that has one.
  ///
  /// Photos without one are counted. A column's groups the table's scan has read already.
  ///
  /// - Throws: ``DatasetError/badGrouping(_:problem:)`` for a pattern that is none, or one that matches
  ///   nothing.
  package func grouped(_ scan: FolderScan) throws(DatasetError) -> FolderScan {
    switch self {
    case .column(let name): return try grouped(scan, name) { $0.group }
    case .folder:
      return try grouped(scan, "folder") { file in
        let names = file.path.components
        // Behind the class; where no folder is the class's, the last.
        let named = names.dropLast().lastIndex {
          BytePath(bytes: Array($0)).description.trimmed == file.className
        }
        let place = file.classDepth ?? named.map { $0 + 1 } ?? names.count - 2
        guard place >= 0, place + 1 < names.count else { return nil }
        return BytePath(bytes: Array(names[place])).description
      }
    case .pattern(let text):
      guard let pattern = try? Regex(text) else {
        throw .badGrouping(text, problem: "it is no regular expression")
      }
      return try grouped(scan, text) { file in
        guard let match = file.path.description.firstMatch(of: pattern) else { return nil }
        let found = match.output.count > 1 ? match.output[1].substring : match.output[0].substring
        return found.map(String.init)
      }
    }
  }

  private func grouped(
    _ scan: FolderScan, _ text: String, by name: (ScannedFile) -> String?
  ) throws(DatasetError) -> FolderScan {
    let files = scan.files.map { $0.inGroup(name($0)) }
    guard files.contains(where: { $0.group != nil }) else {
      throw .badGrouping(text, problem: "no photo has such a group")
    }
    var notes = NoteCounter()
    for file in files where file.group == nil { notes.add(.ungrouped, file.path) }
    return FolderScan(
      root: scan.root, layout: scan.layout, classes: scan.classes, files: files, bad: scan.bad,
      classesOfBad: scan.classesOfBad, notes: scan.notes + notes.all, remarks: scan.remarks,
      warnings: scan.warnings, columnClasses: scan.columnClasses)
  }
}
