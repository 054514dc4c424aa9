// SPDX-License-Identifier: Apache-2.0

import FoundationEssentials
package import SystemPackage
import ThawFiles

/// Labels in a file: CSV, TSV or one JSON object a line, a row a photo.
package struct LabelTable: Sendable {
  /// Names of columns; nil finds them by their usual names.
  package struct Columns: Sendable, Hashable {
    /// Where the photo is.
    package var path: String?
    /// Its class.
    package var label: String?
    /// Its split; a table need not have one.
    package var split: String?
    /// What binds photos together; only used when it is named.
    package var group: String?

    package init(
      path: String? = nil, label: String? = nil, split: String? = nil, group: String? = nil
    ) {
      (self.path, self.label, self.split, self.group) = (path, label, split, group)
    }
  }

  /// One photo.
  struct Row {
    let line: Int
    let path: String
    let label: String
    let split: Split?
    let group: String?
  }

  package let file: FilePath
  let rows: [Row]
  /// Which column was taken for what, for people.
  package let description: String

  private static let limit = 256 << 20

  /// Reads a table.
  ///
  /// - Throws: ``DatasetError/badTable(_:line:problem:)``, ``DatasetError/system(_:)``.
  package init(contentsOf file: FilePath, columns: Columns = Columns()) throws(DatasetError) {
    let bytes: [UInt8]
    do throws(FileError) { bytes = try FileSystem.read(file, limit: LabelTable.limit) } catch {
      throw .system(error)
    }
    do throws(LabelTableFlaw) {
      guard let text = String(validating: bytes, as: UTF8.self) else {
        throw LabelTableFlaw(line: nil, problem: "it is not UTF-8")
      }
      let isJSON = text.first { !$0.isWhitespace } == "{"
      let table = isJSON ? try LabelTable.objects(text) : try LabelTable.cells(text)
      let places = try Places(table, columns)
      var rows: [Row] = []
      for row in table.rows { rows.append(try places.row(row)) }
      guard !rows.isEmpty else { throw LabelTableFlaw(line: nil, problem: "it has no rows") }
      (self.file, self.rows, description) = (file, rows, places.description)
    } catch {
      throw .badTable(file, line: error.line, problem: error.problem)
    }
  }

  private typealias Table = (header: [String], rows: [DelimitedText.Row])

  private static func cells(_ text: String) throws(LabelTableFlaw) -> Table {
    let rows = try DelimitedText(text).rows
    guard let header = rows.first else { throw LabelTableFlaw(line: nil, problem: "it is empty") }
    for row in rows where row.cells.count != header.cells.count {
      throw LabelTableFlaw(
        line: row.line,
        problem: "\(counted(row.cells.count, "cell")), the header has \(header.cells.count)")
    }
    return (header.cells.map(\.trimmed), Array(rows.dropFirst()))
  }

  /// One object a line; the columns are the keys of all of them.
  private static func objects(_ text: String) throws(LabelTableFlaw) -> Table {
    var header: [String] = []
    var objects: [(Int, [String: String])] = []
    for (index, line) in text.split(separator: "\n", omittingEmptySubsequences: false).enumerated()
    where !line.allSatisfy(\.isWhitespace) {
      guard
        let object = try? JSONDecoder().decode([String: Scalar].self, from: Data(line.utf8))
      else { throw LabelTableFlaw(line: index + 1, problem: "it is not one JSON object") }
      for key in object.keys.sorted() where !header.contains(key) { header.append(key) }
      objects.append((index + 1, object.compactMapValues(\.text)))
    }
    return (
      header,
      objects.map { line, object in
        DelimitedText.Row(line: line, cells: header.map { object[$0] ?? "" })
      }
    )
  }

  /// A value that can be a path, a label or a number; others are not looked at.
  private struct Scalar: Decodable {
    let text: String?

    init(from decoder: any Decoder) throws {
      let container = try decoder.singleValueContainer()
      if let text = try? container.decode(String.self) {
        self.text = text
      } else if let number = try? container.decode(Int.self) {
        text = String(number)
      } else if let number = try? container.decode(Double.self) {
        text = String(number)
      } else if let flag = try? container.decode(Bool.self) {
        text = String(flag)
      } else {
        text = nil
      }
    }
  }

  /// Where the columns are.
  private struct Places {
    private let path: Int
    private let label: Int
    private let split: Int?
    private let group: Int?
    let description: String

    init(_ table: Table, _ columns: Columns) throws(LabelTableFlaw) {
      let header = table.header
      path = try Places.place(header, columns.path, Places.pathNames, "of the photos")
      label = try Places.place(header, columns.label, Places.labelNames, "of the labels")
      let isNamed = header.contains { Places.splitNames.contains($0.lowercased()) }
      let found =
        columns.split == nil && !isNamed
        ? nil : try Places.place(header, columns.split, Places.splitNames, "of the splits")
      // `set` may mean anything: it is the column of the splits if any value is the name of one.
      split = found.flatMap { place in
        columns.split != nil || header[place].lowercased() == "split"
          || table.rows.contains { SplitName(folderName: $0.cells[place].trimmed) != nil }
          ? place : nil
      }
      group =
        columns.group == nil ? nil : try Places.place(header, columns.group, [], "of the groups")
      description =
        "photos by '\(header[path])', labels by '\(header[label])'"
        + (split.map { ", splits by '\(header[$0])'" } ?? "")
        + (group.map { ", groups by '\(header[$0])'" } ?? "")
    }

    private static let pathNames = [
      "path", "file_name", "filename", "file", "filepath", "file_path", "image_path", "image",
      "img",
      "photo", "image_id", "id", "name",
    ]
    private static let labelNames = [
      "label", "labels", "class", "class_name", "category", "target", "species", "breed",
      "diagnosis",
    ]
    private static let splitNames = ["split", "set", "subset", "partition"]

    private static func place(
      _ header: [String], _ wanted: String?, _ usual: [String], _ what: String
    ) throws(LabelTableFlaw) -> Int {
      if let wanted {
        if let place = header.firstIndex(of: wanted) { return place }
        throw LabelTableFlaw(
          line: 1, problem: "no column '\(wanted)'; there are \(listed(header.map { "'\($0)'" }))")
      }
      for name in usual {
        let found = header.indices.filter { header[$0].lowercased() == name }
        if found.count == 1 { return found[0] }
        if found.count > 1 {
          throw LabelTableFlaw(line: 1, problem: "several columns are called '\(name)'")
        }
      }
      throw LabelTableFlaw(
        line: 1,
        problem: "no column \(what) (\(usual.prefix(5).joined(separator: ", ")) …); there are"
          + " \(listed(header.map { "'\($0)'" })). Name it with --table-columns.")
    }

    func row(_ row: DelimitedText.Row) throws(LabelTableFlaw) -> Row {
      let (file, name) = (row.cells[path].trimmed, row.cells[label].trimmed)
      guard !file.isEmpty else { throw LabelTableFlaw(line: row.line, problem: "no photo") }
      guard !name.isEmpty else { throw LabelTableFlaw(line: row.line, problem: "no label") }
      var part: Split?
      if let split {
        let text = row.cells[split].trimmed
        guard let found = SplitName(folderName: text)?.split else {
          throw LabelTableFlaw(
            line: row.line, problem: "'\(text)' is no split; expected train, valid or test")
        }
        part = found
      }
      let bond = group.map { row.cells[$0].trimmed }
      return Row(
        line: row.line, path: file, label: name, split: part,
        group: bond.flatMap { $0.isEmpty ? nil : $0 })
    }
  }
}
