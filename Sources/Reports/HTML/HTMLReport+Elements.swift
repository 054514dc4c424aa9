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

  /// A table that scrolls sideways inside its frame when the screen is narrow.
  func table(_ columns: [Column], _ rows: [[Markup]], caption: String) -> Markup {
    let head = columns.map {
      "<th scope=\"col\"\($0.isNumeric ? " class=\"n\"" as Markup : "")>\($0.title)</th>" as Markup
    }
    let body = rows.map { row -> Markup in
      let cells = zip(columns, row).enumerated().map { index, cell -> Markup in
        let style: Markup = cell.0.isNumeric ? " class=\"n\"" : ""
        if index == 0 { return "<th scope=\"row\"\(style)>\(cell.1)</th>" }
        return "<td\(style)>\(cell.1)</td>"
      }
      return "<tr>\(Markup.joined(cells))</tr>\n"
    }
    return """
      <div class="scroll" tabindex="0" role="group" aria-label="\(caption)"><table><thead><tr>\
      \(Markup.joined(head))</tr></thead>
      <tbody>\(Markup.joined(body))</tbody></table></div>

      """
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
    "\(Format.grouped(count)) \(count == 1 ? singular : plural ?? singular + "s")"
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
