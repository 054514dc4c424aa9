// SPDX-License-Identifier: Apache-2.0

/// Rows of cells in a text as spreadsheets write it: commas, semicolons or tabs between the cells, quotes
/// around those that need them.
///
/// - Source: RFC 4180; what separates the cells is what occurs most in the first line.
package struct DelimitedText {
  /// A row and the line of the text it begins in, from 1.
  package struct Row {
    package let line: Int
    package let cells: [String]
  }

  package let rows: [Row]

  /// - Throws: a text that says what is wrong and in which line.
  package init(_ text: String) throws(LabelTableFlaw) {
    var scalars = Array(text.unicodeScalars)
    if scalars.first == "\u{FEFF}" { scalars.removeFirst() }
    let first = scalars.prefix { $0 != "\n" && $0 != "\r" }
    let separators: [Unicode.Scalar] = [",", "\t", ";"]
    let counts = separators.map { separator in first.count { $0 == separator } }
    let most = counts.max() ?? 0
    let separator = counts.firstIndex(of: most).map { separators[$0] } ?? ","
    rows = try DelimitedText.parse(scalars, separator)
  }

  private static func parse(
    _ scalars: [Unicode.Scalar], _ separator: Unicode.Scalar
  ) throws(LabelTableFlaw) -> [Row] {
    var rows: [Row] = []
    var cells: [String] = []
    var cell = String.UnicodeScalarView()
    var (line, start, index) = (1, 1, 0)
    var isQuoted = false
    func isBlank() -> Bool { cells.isEmpty && cell.isEmpty }
    while index < scalars.count {
      let scalar = scalars[index]
      index += 1
      if scalar == "\n" { line += 1 }
      if isQuoted {
        if scalar != "\"" {
          cell.append(scalar)
        } else if index < scalars.count, scalars[index] == "\"" {
          cell.append(scalar)
          index += 1
        } else {
          isQuoted = false
        }
      } else if scalar == "\"", cell.isEmpty {
        isQuoted = true
      } else if scalar == separator {
        cells.append(String(cell))
        cell = String.UnicodeScalarView()
      } else if scalar == "\n"
        || scalar == "\r" && (index >= scalars.count || scalars[index] != "\n")
      {
        if !isBlank() { rows.append(Row(line: start, cells: cells + [String(cell)])) }
        (cells, cell, start) = ([], String.UnicodeScalarView(), line)
      } else if scalar != "\r" {
        cell.append(scalar)
      }
    }
    guard !isQuoted else { throw LabelTableFlaw(line: start, problem: "a quote is not closed") }
    if !isBlank() { rows.append(Row(line: start, cells: cells + [String(cell)])) }
    return rows
  }
}

/// What is wrong with a table, and where.
package struct LabelTableFlaw: Error, Sendable, Equatable {
  /// From 1; nil when it is the table as a whole.
  package let line: Int?
  /// What was found, and what was expected.
  package let problem: String

  package init(line: Int?, problem: String) { (self.line, self.problem) = (line, problem) }
}
