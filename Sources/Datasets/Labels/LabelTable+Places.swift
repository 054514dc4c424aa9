// SPDX-License-Identifier: Apache-2.0

extension LabelTable {
  /// Where the columns are.
  struct Places {
    let labels: LabelColumns
    let description: String
    private let header: [String]
    private let path: Int
    private let split: SplitColumn?
    private let group: Int?

    init(_ table: Table, _ columns: Columns) throws(LabelTableFlaw) {
      header = table.header
      path = try LabelTable.place(header, columns.path, Places.pathNames, "of the photos")
      split = try SplitColumn(table, columns.split)
      group =
        columns.group == nil
        ? nil : try LabelTable.place(header, columns.group, [], "of the groups")
      let others = Set([path] + SplitColumn.flags(table).map(\.place) + (split?.places ?? []))
        .union([group].compactMap(\.self))
      labels = try LabelColumns(table, columns, others: others)
      let used = others.union(labels.places)
      let rest = header.indices.filter { !used.contains($0) }.map { "'\(table.header[$0])'" }
      description =
        "photos by '\(header[path])', \(labels.description(header))"
        + (split.map { split in
          ", splits by " + listed(split.places.map { "'\(table.header[$0])'" })
        } ?? "")
        + (group.map { ", groups by '\(table.header[$0])'" } ?? "")
        + (labels.isSeveral && !rest.isEmpty ? "; not used: \(listed(rest, limit: 5))" : "")
    }

    private static let pathNames = [
      "path", "file_name", "filename", "file", "filepath", "file_path", "image_path", "image",
      "img", "photo", "image_name", "image index", "fname", "image_id", "id", "name",
    ]

    /// - Parameter count: whether a photo may have several labels, or none.
    func row(_ row: DelimitedText.Row, _ count: LabelCount) throws(LabelTableFlaw) -> Row {
      let file = row.cells[path].trimmed
      guard !file.isEmpty else { throw LabelTableFlaw(line: row.line, problem: "no photo") }
      let set = try labels.labels(row, header)
      if count == .single || count == .auto && !labels.isSeveral {
        try checkSingle(set, row.line)
      }
      let bond = group.map { row.cells[$0].trimmed }
      return Row(
        line: row.line, path: file, labels: set, split: try split?.split(row),
        group: bond.flatMap { $0.isEmpty ? nil : $0 })
    }

    private func checkSingle(_ set: LabelSet, _ line: Int) throws(LabelTableFlaw) {
      guard set.present.count == 1, set.unknown.isEmpty else {
        let found =
          set.present.isEmpty
          ? "no label" : set.present.count == 1 ? "unknown labels" : "\(set.present.count) labels"
        throw LabelTableFlaw(
          line: line,
          problem:
            "\(found), where each photo has exactly one. If photos may have several labels, or"
            + " none, say --several-labels yes.")
      }
    }
  }

  /// What says splits: a column of their names, or one or two flags.
  struct SplitColumn {
    private let kind: Kind

    private enum Kind {
      case names(Int)
      case flags([(place: Int, split: Split)])
    }

    /// Its columns.
    var places: [Int] {
      switch kind {
      case .names(let place): [place]
      case .flags(let flags): flags.map(\.place)
      }
    }

    private static let names = ["split", "set", "subset", "partition"]
    private static let flagNames: [(String, Split)] = [("is_valid", .valid), ("is_test", .test)]

    /// The columns that are flags of splits by name and by every cell, and so no labels, whatever says
    /// the splits.
    static func flags(_ table: Table) -> [(place: Int, split: Split)] {
      let header = table.header.map { $0.lowercased() }
      return flagNames.compactMap { name, split in
        guard let place = header.firstIndex(of: name),
          table.rows.allSatisfy({ flagValue($0.cells[place]) != nil })
        else { return nil }
        return (place, split)
      }
    }

    init?(_ table: Table, _ wanted: String?) throws(LabelTableFlaw) {
      let header = table.header.map { $0.lowercased() }
      let isNamed = header.contains { Self.names.contains($0) }
      if wanted == nil, !isNamed {
        let flags = Self.flags(table)
        guard !flags.isEmpty else { return nil }
        kind = .flags(flags)
        return
      }
      let found = try LabelTable.place(table.header, wanted, Self.names, "of the splits")
      // `set` may mean anything: it is the column of the splits if any value is the name of one.
      guard
        wanted != nil || header[found] == "split"
          || table.rows.contains(where: { SplitName(folderName: $0.cells[found].trimmed) != nil })
      else { return nil }
      kind = .names(found)
    }

    private static func flagValue(_ cell: String) -> Bool? {
      switch cell.trimmed.lowercased() {
      case "1", "1.0", "true": true
      case "0", "0.0", "false": false
      default: nil
      }
    }

    func split(_ row: DelimitedText.Row) throws(LabelTableFlaw) -> Split {
      let place: Int
      switch kind {
      case .names(let column): place = column
      case .flags(let flags):
        let set = flags.filter { Self.flagValue(row.cells[$0.place]) == true }
        guard set.count < 2 else {
          throw LabelTableFlaw(line: row.line, problem: "both is_valid and is_test")
        }
        return set.first?.split ?? .train
      }
      let text = row.cells[place].trimmed
      guard let found = SplitName(folderName: text)?.split else {
        throw LabelTableFlaw(
          line: row.line, problem: "'\(text)' is no split; expected train, valid or test")
      }
      return found
    }
  }
}
