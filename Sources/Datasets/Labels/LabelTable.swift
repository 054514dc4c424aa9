// SPDX-License-Identifier: Apache-2.0

import FoundationEssentials
package import SystemPackage
import ThawFiles

/// Labels in a file: CSV, TSV or one JSON object a line, a row a photo; where photos have several labels
/// also a row a label.
package struct LabelTable: Sendable {
  /// Names of columns; nil finds them by their usual names.
  package struct Columns: Sendable, Hashable {
    /// Where the photo is.
    package var path: String?
    /// Where its class is; several are a column a class.
    package var labels: [String]
    /// Its split; a table need not have one.
    package var split: String?
    /// What binds photos together; only used when it is named.
    package var group: String?
    /// Whether a photo may have several labels.
    package var count = LabelCount.auto
    /// What stands between several labels in one cell; nil to find it.
    package var separator: LabelSeparator?
    /// Whether columns of 0 and 1 that nobody named may be taken for classes.
    package var guessesIndicators = true

    package init(
      path: String? = nil, label: String? = nil, split: String? = nil, group: String? = nil
    ) {
      (self.path, self.split, self.group) = (path, split, group)
      labels = label.map { [$0] } ?? []
    }
  }

  /// One row.
  struct Row {
    let line: Int
    let path: String
    let labels: LabelSet
    /// Whether the cell has blanks around the label, or spells its accents otherwise than the first such.
    var isSpeltOtherwise = false
    let split: Split?
    let group: String?
    /// The table it is in, where that is made of several.
    var file: FilePath?
  }

  package let file: FilePath
  /// Further files that it was read from.
  let others: [FilePath]
  let rows: [Row]
  /// Whether every row may name several classes; false where a row names one.
  let rowsAreSets: Bool
  /// What was asked for.
  let count: LabelCount
  /// Classes that columns are named for, whether or not a photo has them.
  let namedClasses: [String]
  /// Which column was taken for what, for people.
  package let description: String

  private static let limit = 256 << 20

  /// Reads a table.
  ///
  /// - Throws: ``DatasetError/badTable(_:line:problem:)``, ``DatasetError/system(_:)``.
  package init(contentsOf file: FilePath, columns: Columns = Columns()) throws(DatasetError) {
    let bytes: [UInt8]
    do throws(FileError) { bytes = try PhotoFiles.read(file, limit: LabelTable.limit) } catch {
      throw .system(error)
    }
    do throws(LabelTableFlaw) {
      guard let text = String(validating: bytes, as: UTF8.self) else {
        throw LabelTableFlaw(line: nil, problem: LabelTable.otherEncoding(bytes, file))
      }
      let isJSON = text.first { !$0.isWhitespace } == "{"
      let table = isJSON ? try LabelTable.objects(text) : try LabelTable.cells(text)
      let places = try Places(table, columns)
      var rows: [Row] = []
      var spellings: [String: [UInt8]] = [:]
      for row in table.rows {
        var found = try places.row(row, columns.count)
        for (name, spelling) in places.labels.spellings(row) {
          if spellings[name, default: spelling] != spelling { found.isSpeltOtherwise = true }
          spellings[name] = spellings[name] ?? spelling
        }
        rows.append(found)
      }
      guard !rows.isEmpty else { throw LabelTableFlaw(line: nil, problem: "it has no rows") }
      (self.file, self.rows, description) = (file, rows, places.description)
      others = []
      rowsAreSets = places.labels.isSeveral && columns.count != .single
      count = columns.count
      if case .indicators(let columns, _) = places.labels {
        namedClasses = columns.map { table.header[$0] }
      } else {
        namedClasses = []
      }
    } catch {
      throw .badTable(file, line: error.line, problem: error.problem)
    }
  }

  /// What a text that is not UTF-8 probably is, and what makes UTF-8 of it.
  private static func otherEncoding(_ bytes: [UInt8], _ file: FilePath) -> String {
    let isWide = bytes.starts(with: [0xFF, 0xFE]) || bytes.starts(with: [0xFE, 0xFF])
    let name = ShellWord.quote(file.string)
    return
      "it is not UTF-8 but \(isWide ? "UTF-16" : "probably Windows-1252"). Save it as UTF-8, or:"
      + " iconv -f \(isWide ? "UTF-16" : "WINDOWS-1252") -t UTF-8 \(name) > utf8.csv."
  }

  typealias Table = (header: [String], rows: [DelimitedText.Row])

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
    var objects: [(Int, [String: Scalar])] = []
    for (index, line) in text.split(separator: "\n", omittingEmptySubsequences: false).enumerated()
    where !line.allSatisfy(\.isWhitespace) {
      guard
        let object = try? JSONDecoder().decode([String: Scalar].self, from: Data(line.utf8))
      else { throw LabelTableFlaw(line: index + 1, problem: "it is not one JSON object") }
      for key in object.keys.sorted() where !header.contains(key) { header.append(key) }
      objects.append((index + 1, object))
    }
    return (
      header,
      objects.map { line, object in
        DelimitedText.Row(line: line, cells: header.map { object[$0]?.text ?? "" })
      }
    )
  }

  /// A value that can be a path, labels or a number; others are not looked at.
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
      } else if let list = try? container.decode([Scalar].self) {
        let (mark, bad) = (LabelSeparator.listMark, LabelSeparator.unreadableMark)
        let names = list.compactMap(\.text)
        if names.count < list.count
          || names.contains(where: { $0.contains(mark) || $0.contains(bad) })
        {
          text = String(bad)
        } else {
          text = names.isEmpty ? String(mark) : names.map { "\(mark)\($0)" }.joined()
        }
      } else {
        text = container.decodeNil() ? nil : String(LabelSeparator.unreadableMark)
      }
    }
  }

  /// The place of the column called `wanted`, or of the first of the `usual` names.
  static func place(
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
      problem: header.contains { FileNames.promisesImage(Array($0.utf8)) }
        ? "the first line names a photo where the names of the columns belong. Write the line path,label above it"
        : "no column \(what) (\(usual.prefix(5).joined(separator: ", ")) …); there are"
          + " \(listed(header.map { "'\($0)'" })). Name it with --table-columns.")
  }
}
