// SPDX-License-Identifier: Apache-2.0

import ThawConsole
import ThawFiles

extension HTMLReport {
  /// A column of a table.
  struct Column {
    let title: String
    let isNumeric: Bool

    init(_ title: String, numeric: Bool = false) {
      self.title = title
      isNumeric = numeric
    }
  }

  /// A table with a caption for those who hear it.
  ///
  /// - Parameter stacks: whether a narrow screen gets each row as a list of names and values, because
  ///   the columns would not fit it. Roles are then written out: a changed display would lose them.
  func table(
    _ columns: [Column], _ rows: [[Markup]], caption: String, stacks: Bool = false
  ) -> Markup {
    func role(_ role: Markup) -> Markup { stacks ? " role=\"\(role)\"" : "" }
    let head = columns.map { column -> Markup in
      let style: Markup = column.isNumeric ? " class=\"n\"" : ""
      return "<th scope=\"col\"\(role("columnheader"))\(style)>\(column.title)</th>"
    }
    let body = rows.map { row -> Markup in
      let cells = zip(columns, row).enumerated().map { index, cell -> Markup in
        let style: Markup = cell.0.isNumeric ? " class=\"n\"" : ""
        if index == 0 {
          return "<th scope=\"row\"\(role("rowheader"))\(style)>\(cell.1)</th>"
        }
        let label: Markup = stacks ? " data-label=\"\(cell.0.title)\"" : ""
        let value: Markup = stacks ? "<span>\(cell.1)</span>" : cell.1
        return "<td\(role("cell"))\(style)\(label)>\(value)</td>"
      }
      return "<tr\(role("row"))>\(Markup.joined(cells))</tr>\n"
    }
    let style: Markup = stacks ? " class=\"stacks\"" : ""
    return """
      <div class="table"><table\(role("table"))\(style)><caption class="heard">\(caption)</caption>\
      <thead\(role("rowgroup"))><tr\(role("row"))>\(Markup.joined(head))</tr></thead>
      <tbody\(role("rowgroup"))>\(Markup.joined(body))</tbody></table></div>

      """
  }

  /// A word of the field with a sentence that says what it means.
  func term(_ term: String, _ meaning: String) -> Markup {
    "\(term)<span class=\"meaning\">\(meaning)</span>"
  }

  /// Words of the field and what they mean.
  func definitions(_ terms: [(term: String, meaning: String)]) -> Markup {
    let items = terms.map { "<p><dfn>\($0.term)</dfn>: \($0.meaning)</p>" as Markup }
    return "<div class=\"terms\">\(Markup.joined(items))</div>\n"
  }

  /// Names and values below each other.
  func facts(_ facts: [(String, String)]) -> Markup {
    guard !facts.isEmpty else { return "" }
    let items = facts.map { "<div><dt>\($0.0)</dt><dd>\(name($0.1))</dd></div>" as Markup }
    return "<dl>\(Markup.joined(items))</dl>\n"
  }

  /// Something folded away until asked for.
  func folded(_ summary: String, _ body: Markup, isOpen: Bool = false) -> Markup {
    let state: Markup = isOpen ? " open" : ""
    return "<details\(state)><summary>\(summary)</summary>\(body)</details>\n"
  }

  /// Text from outside, with its own writing direction.
  func name(_ text: String) -> Markup { "<bdi>\(text)</bdi>" }

  /// A path, which may break anywhere.
  func path(_ text: String) -> Markup { "<bdi class=\"path\">\(text)</bdi>" }

  /// A path that fits below a thumbnail.
  func shortened(_ path: String) -> String {
    VisibleText.shortened(VisibleText.escape(path), to: 72)
  }

  /// A command line that is broken between words, not inside `--options`.
  func command(_ line: String) -> Markup {
    let words = line.split(separator: " ", omittingEmptySubsequences: false).map {
      "<span class=\"word\">\(String($0))</span>" as Markup
    }
    return "<pre>\(Markup.joined(words, separator: " "))</pre>\n"
  }

  /// A paragraph, or nothing.
  func paragraph(_ text: String?) -> Markup { optional(text) { "<p>\($0)</p>\n" } }

  /// Charts next to each other where there is room.
  func charts(_ charts: [(title: String, svg: Markup)]) -> Markup {
    let items = charts.map { "<div><h3>\($0.title)</h3>\($0.svg)</div>" as Markup }
    return "<div class=\"charts\">\(Markup.joined(items))</div>\n"
  }

  /// One long chart as two columns of half the items each.
  func halves<Item>(_ title: String, _ items: [Item], _ chart: ([Item]) -> Markup) -> Markup {
    let middle = (items.count + 1) / 2
    let columns = [Array(items[..<middle]), Array(items[middle...])].filter { !$0.isEmpty }
    let parts = columns.map { "<div>\(chart($0))</div>" as Markup }
    return "<h3>\(title)</h3><div class=\"charts\">\(Markup.joined(parts))</div>\n"
  }

  /// Four decimals, or a dash where there is no number.
  func decimals(_ value: Double?) -> String {
    guard let value, !value.isNaN else { return "–" }
    return Format.fixed(value, 4)
  }

  /// A percentage, or a dash where there is none.
  func percent(_ value: Double?) -> String {
    guard let value, !value.isNaN else { return "–" }
    return Format.percent(value)
  }

  /// "1 file" or "3 files".
  func counted(_ count: Int, _ singular: String, plural: String? = nil) -> String {
    Counted(count, singular, plural ?? singular + "s").description
  }

  /// Whether something is as it should be; shown as a word, not by colour alone.
  enum Status {
    case good, warning, problem

    var word: Markup {
      switch self {
      case .good: "good"
      case .warning: "check"
      case .problem: "problem"
      }
    }

    /// The style of its note.
    var style: Markup {
      switch self {
      case .good: "good"
      case .warning: "warn"
      case .problem: "bad"
      }
    }
  }

  /// What was found, how bad it is, and what to do.
  func note(_ title: Markup, _ status: Status, _ verdict: String, _ advice: String) -> Markup {
    """
    <div class="note \(status.style)"><p class="label">\(title): \
    \(status.word)</p><p>\(verdict)</p>\(paragraph(advice))</div>

    """
  }
}
