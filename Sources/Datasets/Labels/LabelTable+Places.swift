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
      let header = table.header
      self.header = header
      path = try LabelTable.place(header, columns.path, Places.pathNames, "of the photos")
      split = try SplitColumn(table, columns.split, path: path)
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
          ", splits by " + split.description(header)
        } ?? "")
        + (group.map { ", groups by '\(table.header[$0])'" } ?? "")
        + (rest.isEmpty ? "" : "; not used: \(listed(rest, limit: 5))")
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
      /// The folder that a photo's path begins with.
      case folders(path: Int)
    }

    /// Its columns.
    var places: [Int] {
      switch kind {
      case .names(let place): [place]
      case .flags(let flags): flags.map(\.place)
      case .folders: []
      }
    }

    /// For people.
    func description(_ header: [String]) -> String {
      if case .folders(let path) = kind { return "the folders in '\(header[path])'" }
      return listed(places.map { "'\(header[$0])'" })
    }

    private static let names = ["split", "set", "subset", "partition"]
    private static let flagNames: [(String, Split)] = [
      ("is_valid", .valid), ("is_test", .test), ("is_train", .train), ("is_training_image", .train),
    ]

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

    /// - Parameter path: the column of the photos.
    init?(_ table: Table, _ wanted: String?, path: Int) throws(LabelTableFlaw) {
      let header = table.header.map { $0.lowercased() }
      let isNamed = header.contains { Self.names.contains($0) }
      if wanted == nil, !isNamed {
        let flags = Self.flags(table)
        let telling = header.indices.filter {
          $0 != path && Self.areSplits(table.rows.map(\.cells), $0)
        }
        if !flags.isEmpty {
          kind = .flags(flags)
        } else if telling.count == 1 {
          // Whatever it is called: `phase`, `Usage`, `dataset`.
          kind = .names(telling[0])
        } else if Self.areSplits(table.rows.map { [Self.folder($0.cells[path])] }, 0) {
          kind = .folders(path: path)
        } else {
          return nil
        }
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

    /// Whether every cell of a column is the name of a split, and at least two occur, one of them to train
    /// on.
    private static func areSplits(_ rows: [[String]], _ column: Int) -> Bool {
      var found: Set<Split> = []
      for row in rows {
        guard let split = SplitName(folderName: row[column].trimmed)?.split else { return false }
        found.insert(split)
      }
      return found.count > 1 && found.contains(.train)
    }

    /// The outermost folder of a path; empty for a name alone.
    private static func folder(_ path: String) -> String {
      let parts = path.trimmed.split(whereSeparator: { $0 == "/" || $0 == "\\" }).filter {
        $0 != "."
      }
      return parts.count > 1 ? String(parts[0]) : ""
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
      case .folders(let path):
        let name = Self.folder(row.cells[path])
        return SplitName(folderName: name)?.split ?? .train
      case .flags(let flags):
        let set = flags.filter { Self.flagValue(row.cells[$0.place]) == true }
        guard set.count < 2 else {
          throw LabelTableFlaw(
            line: row.line, problem: "two of is_train, is_valid and is_test at once")
        }
        // What is not to be trained on, and nothing else is said of, judges at the end.
        let saysTraining = flags.contains { $0.split == .train }
        return set.first?.split ?? (saysTraining ? .test : .train)
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
