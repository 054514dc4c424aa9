// SPDX-License-Identifier: Apache-2.0

import ThawFiles

/// A table for a terminal: aligned columns, a rule under the header, cells cut to fit.
package struct TextTable: Sendable {
  /// On which side a column's cells end.
  package enum Alignment: Sendable {
    /// Text.
    case left
    /// Numbers.
    case right
  }

  /// Column titles and alignments.
  package let columns: [(title: String, alignment: Alignment)]
  /// Cells of each row; hidden characters are already written out.
  package private(set) var rows: [[String]] = []

  /// An empty table.
  package init(columns: [(title: String, alignment: Alignment)]) {
    precondition(!columns.isEmpty, "A table needs at least one column.")
    self.columns = columns
  }

  /// A table whose titles starting with ">" mark columns aligned to the right.
  package init(_ titles: String...) { self.init(titles) }

  /// The same for titles in a list.
  package init(_ titles: [String]) {
    self.init(
      columns: titles.map {
        $0.hasPrefix(">") ? (String($0.dropFirst()), Alignment.right) : ($0, .left)
      })
  }

  /// Adds a row with a cell for every column; control characters are made visible, which their
  /// width depends on.
  package mutating func append(_ row: [String]) {
    precondition(
      row.count == columns.count, "A row of \(row.count) cells in \(columns.count) columns.")
    rows.append(row.map(VisibleText.escape))
  }

  /// The lines, each ending with a newline and at most `width` columns wide.
  ///
  /// When the table is wider, its widest columns are cut first, with an ellipsis.
  package func text(width: Int = 80) -> String {
    let widths = fitted(to: width)
    let titles = columns.map(\.title)
    let rule = widths.map { String(repeating: "-", count: $0) }
    return ([titles, rule] + rows).map { line($0, widths, width) + "\n" }.joined()
  }

  private static let gap = 2

  private func fitted(to width: Int) -> [Int] {
    var widths = columns.indices.map { index in
      ([columns[index].title] + rows.map { $0[index] }).map(DisplayWidth.columns).max() ?? 0
    }
    var excess = widths.reduce(0, +) + Self.gap * (widths.count - 1) - width
    while excess > 0, let widest = widths.max(), widest > 3 {
      guard let index = widths.firstIndex(of: widest) else { break }
      widths[index] -= 1
      excess -= 1
    }
    return widths
  }

  private func line(_ cells: [String], _ widths: [Int], _ limit: Int) -> String {
    let padded = cells.enumerated().map { index, cell -> String in
      let text = DisplayWidth.truncated(cell, to: widths[index])
      let space = String(
        repeating: " ", count: max(widths[index] - DisplayWidth.columns(of: text), 0))
      return columns[index].alignment == .left ? text + space : space + text
    }
    var joined = padded.joined(separator: String(repeating: " ", count: Self.gap))
    while joined.hasSuffix(" ") { joined.removeLast() }
    return DisplayWidth.truncated(joined, to: limit)
  }
}
