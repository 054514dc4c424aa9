// SPDX-License-Identifier: Apache-2.0

package import SystemPackage
import ThawFiles

/// The tables of labels that lie with the photos, as datasets on Hugging Face have them: `metadata.csv` or
/// `metadata.jsonl`, one in the folder or one in each folder of a split.
package struct SplitTables {
  private static let names = ["metadata.csv", "metadata.jsonl"]

  /// The table in the folder itself.
  package static func inside(_ folder: FilePath) -> FilePath? {
    names.map { folder.appending($0) }.first(where: PhotoFiles.exists)
  }

  /// Tables in folders of splits, and what those are.
  package struct Part {
    /// The table.
    package let file: FilePath
    /// The name of its folder.
    let folder: String
    let split: Split
  }

  /// One for each folder of `folder` that is called like a split and has a table.
  package static func parts(of folder: FilePath) -> [Part] {
    let names = ((try? PhotoFiles.list(folder)) ?? []).map(\.string).sorted(by: LabelSet.precedes)
    return names.compactMap { name in
      guard let split = SplitName(folderName: name)?.split,
        let file = inside(folder.appending(name))
      else { return nil }
      return Part(file: file, folder: name, split: split)
    }
  }
}

extension LabelTable {
  /// The tables of several splits as one.
  ///
  /// - Parameter parts: at least one.
  /// - Throws: as for one file; ``DatasetError/badTable(_:line:problem:)`` when they say labels in different
  ///   forms.
  package init(parts: [SplitTables.Part], columns: Columns) throws(DatasetError) {
    precondition(!parts.isEmpty, "No tables.")
    var tables: [LabelTable] = []
    for part in parts { tables.append(try LabelTable(contentsOf: part.file, columns: columns)) }
    let first = tables[0]
    for table in tables
    where table.rowsAreSets != first.rowsAreSets
      || table.namedClasses != first.namedClasses
    {
      throw .badTable(
        table.file, line: 1,
        problem: "it says labels otherwise than \(first.file.displayed)")
    }
    var rows: [Row] = []
    for (part, table) in zip(parts, tables) {
      for row in table.rows {
        guard row.split == nil || row.split == part.split else {
          throw .badTable(
            table.file, line: row.line,
            problem: "\(row.split?.rawValue ?? "") in the folder '\(part.folder)'")
        }
        rows.append(
          Row(
            line: row.line, path: "\(part.folder)/\(row.path)", labels: row.labels,
            isSpeltOtherwise: row.isSpeltOtherwise, split: part.split, group: row.group,
            file: part.file))
      }
    }
    self.init(
      file: first.file, others: tables.dropFirst().map(\.file), rows: rows,
      rowsAreSets: first.rowsAreSets, count: first.count, namedClasses: first.namedClasses,
      description: first.description + ", splits by the folders "
        + parts.map { "'\($0.folder)'" }.joined(separator: ", "))
  }

  /// Collects the rows of several files.
  private init(
    file: FilePath, others: [FilePath], rows: [Row], rowsAreSets: Bool, count: LabelCount,
    namedClasses: [String], description: String
  ) {
    (self.file, self.others, self.rows) = (file, others, rows)
    (self.rowsAreSets, self.count) = (rowsAreSets, count)
    (self.namedClasses, self.description) = (namedClasses, description)
  }
}
