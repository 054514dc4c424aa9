// SPDX-License-Identifier: Apache-2.0

import ThawFiles

/// What all rows of a table together say of each photo.
struct MergedRows {
  /// By photo; for training only names of classes that some photo has.
  private(set) var labels: [BytePath: LabelSet] = [:]
  /// Whether photos may have several labels.
  let isSeveral: Bool
  /// Classes that the table names and no photo has.
  private let absent: [String]
  /// Photos in rows of several labels, where that decided that photos may have several.
  private var contradictory = 0
  /// Photos with one label in one row and another in another, left out.
  private(set) var contradicting: Set<BytePath> = []
  private let isForTraining: Bool

  /// - Parameters:
  ///   - isForTraining: whether a class that no photo has is left out, as there is nothing to learn.
  ///   - conflicts: whether photos whose rows contradict each other are left out; one file cannot be kept
  ///     under two labels. Those to be left out are none with several.
  /// - Throws: ``DatasetError/mismatchedTable(_:line:problem:)`` for rows that contradict each other.
  init(
    _ rows: [(path: BytePath, row: LabelTable.Row)], of table: LabelTable, isForTraining: Bool,
    conflicts: ConflictPolicy
  ) throws(DatasetError) {
    var first: [BytePath: LabelTable.Row] = [:]
    var names: [BytePath: Set<String>] = [:]
    var conflict: (LabelTable.Row, LabelTable.Row)?
    var differing: Set<BytePath> = []
    for (path, row) in rows {
      names[path, default: []].formUnion(row.labels.present)
      guard let before = first[path] else {
        first[path] = row
        continue
      }
      guard before.split == row.split, before.group == row.group else {
        throw MergedRows.mismatch(table, row, "another split or group than in line \(before.line)")
      }
      if before.labels != row.labels {
        conflict = conflict ?? (before, row)
        differing.insert(path)
      }
    }
    let several = names.values.count { $0.count > 1 }
    // A few photos with two labels are mistakes; many are how the table says several.
    let isOften =
      table.count == .auto && conflicts != .drop && several > 1 && several * 10 >= names.count
    isSeveral = table.rowsAreSets || table.count == .several || isOften
    if let (before, row) = conflict {
      if !isSeveral || table.rowsAreSets {
        guard conflicts == .drop else {
          throw MergedRows.contradiction(table, row, before, conflicts)
        }
        contradicting = differing
      } else if table.count == .auto {
        contradictory = several
      }
    }
    for path in contradicting {
      first[path] = nil
      names[path] = nil
    }
    var found: Set<String> = []
    for names in names.values { found.formUnion(names) }
    var all: Set<String> = []
    for (path, row) in first {
      all.formUnion(row.labels.unknown)
      labels[path] = LabelSet(
        present: names[path] ?? [],
        unknown: row.labels.unknown.filter { !isForTraining || found.contains($0) })
    }
    self.isForTraining = isForTraining
    absent = all.union(table.namedClasses).subtracting(found).sorted(by: LabelSet.precedes)
  }

  private static func mismatch(
    _ table: LabelTable, _ row: LabelTable.Row, _ problem: String
  ) -> DatasetError {
    .mismatchedTable(
      row.file ?? table.file, line: row.line, problem: "'\(row.path)' has \(problem)")
  }

  private static func contradiction(
    _ table: LabelTable, _ row: LabelTable.Row, _ before: LabelTable.Row,
    _ conflicts: ConflictPolicy
  ) -> DatasetError {
    mismatch(
      table, row,
      "another label than in line \(before.line)"
        + (conflicts == .keep
          ? ", and one file cannot be kept under both (--conflicting-labels keep is for copies)"
          : "")
        + ". Correct it, or leave such photos out with --conflicting-labels drop"
        + (table.rowsAreSets || table.count == .several
          ? "" : ". If a photo may have several labels, a row each, say --several-labels yes"))
  }

  /// What would be wrong with the labels if a photo cannot have several, for people.
  var warnings: [String] {
    guard isSeveral, isForTraining, contradictory > 0 else { return [] }
    return [
      "\(contradictory) of \(labels.count) photos are in rows of several labels, so a photo is taken to"
        + " have several. If those rows contradict each other, say --several-labels no."
    ]
  }

  /// What was assumed of several labels, and what is odd about them, for people.
  func remarks(_ classes: [String]) -> [String] {
    guard isSeveral, isForTraining else { return [] }
    var lines: [String] = []
    let counts = labels.values.map(\.present.count)
    let unknown = labels.values.reduce(0) { $0 + $1.unknown.count }
    let mean = Double(counts.reduce(0, +)) / Double(max(counts.count, 1))
    let none = counts.count { $0 == 0 }
    lines.append(
      "Several labels a photo: \(counted(classes.count, "class", "classes")), \((mean * 100).rounded() / 100) labels a photo on"
        + " average" + (none > 0 ? ", none in \(counted(none, "photo"))" : "") + ".")
    if unknown > 0 {
      lines.append(
        "\(unknown) of \(counts.count * classes.count) labels are unknown; nothing is learned from them and"
          + " nothing measured by them.")
    }
    if !absent.isEmpty {
      lines.append(
        "No photo has \(listed(absent.map { "'\($0)'" })): left out, as there is nothing to learn.")
    }
    if counts.allSatisfy({ $0 == 1 }), unknown == 0 {
      lines.append(
        "Every photo has exactly one label. If that is always so, --several-labels no trains a network"
          + " that chooses one class, which is usually more accurate.")
    }
    return lines
  }
}
