// SPDX-License-Identifier: Apache-2.0

/// Which columns of a table say the labels, and in which form.
enum LabelColumns {
  /// A class's name; several rows of one photo may name several.
  case name(Int)
  /// Several names in one cell.
  case list(Int, LabelSeparator)
  /// A column a class, with 0 or 1; or with 1 and -1, where -1 is no.
  case indicators([Int], hasMinusForNo: Bool = false)

  /// Whether a photo may have several labels by this form alone.
  var isSeveral: Bool { if case .name = self { false } else { true } }

  private static let names = [
    "label", "labels", "class", "class_name", "category", "target", "species", "breed",
    "diagnosis", "tags", "tag", "classes", "categories", "finding labels",
  ]
  /// Columns whose name promises several.
  private static let plurals: Set<String> = [
    "labels", "tags", "classes", "categories", "finding labels",
  ]

  /// Finds them.
  ///
  /// - Parameters:
  ///   - others: columns that say something else.
  /// - Throws: a flaw that names the columns there are.
  init(
    _ table: LabelTable.Table, _ columns: LabelTable.Columns, others: Set<Int>
  ) throws(LabelTableFlaw) {
    let header = table.header
    if columns.labels.count > 1 {
      var places: [Int] = []
      for name in columns.labels {
        places.append(try LabelTable.place(header, name, [], "of the labels"))
      }
      self = .indicators(places)
      try checkIndicators(table, columns)
      return
    }
    let place: Int
    do throws(LabelTableFlaw) {
      place = try LabelTable.place(header, columns.labels.first, Self.names, "of the labels")
    } catch {
      let found = Self.indicators(table, others: others)
      guard columns.labels.isEmpty, columns.guessesIndicators, found.count > 1 else { throw error }
      self = .indicators(found)
      try checkIndicators(table, columns)
      return
    }
    let isPlural = Self.plurals.contains(header[place].lowercased())
    let cells = table.rows.map { $0.cells[place].trimmed }
    if let separator = columns.separator {
      self = .list(place, separator)
    } else if columns.count != .single,
      let separator = LabelSeparator(
        of: cells, isPlural: isPlural || columns.count == .several)
    {
      self = .list(place, separator)
    } else {
      self = .name(place)
    }
  }

  /// Columns of 0, 1 and what is unknown. A cell in ten may be something else: a class must not be lost
  /// by a slip of the pen, so that ``labels(_:_:)`` reads it, or refuses it by its line.
  private static func indicators(_ table: LabelTable.Table, others: Set<Int>) -> [Int] {
    table.header.indices.filter { column in
      guard !others.contains(column), !table.header[column].isEmpty else { return false }
      let values = table.rows.map { Indicator($0.cells[column], isStrict: true) }
      let odd = values.count { $0 == nil }
      let decided = values.count { $0 == .yes || $0 == .no }
      return odd * 10 <= values.count && decided > odd
    }
  }

  /// A column a class: whether -1 is no there, whether every class has photos without it, and a separator that
  /// nothing is separated by.
  private mutating func checkIndicators(
    _ table: LabelTable.Table, _ columns: LabelTable.Columns
  ) throws(LabelTableFlaw) {
    let (header, places) = (table.header, places)
    let cells = places.map { place in table.rows.map { $0.cells[place].trimmed } }
    let hasNo = cells.map { $0.contains { Indicator($0, isStrict: false) == .no } }
    let hasMinus = cells.contains { $0.contains { Indicator.isMinusOne($0) } }
    if !hasNo.contains(true), hasMinus {
      self = .indicators(places, hasMinusForNo: true)
    } else if let bare = zip(places, zip(cells, hasNo)).first(where: { _, column in
      !column.1 && column.0.contains { Indicator($0, isStrict: false) == .yes }
        && column.0.contains { Indicator($0, isStrict: false) == .unknown }
    }) {
      throw LabelTableFlaw(
        line: nil,
        problem:
          "the column '\(header[bare.0])' says of no photo that it has not that label: all that"
          + " are not 1 are empty or -1, which is unknown. What every labelled photo has cannot be"
          + " learned. Write 0 where a photo has not the label, or leave the column out with"
          + " --table-columns label=A,label=B")
    }
    let names = places.map { header[$0] }
    if let twice = Dictionary(grouping: names, by: \.self).filter({ $0.value.count > 1 }).keys.min()
    {
      throw LabelTableFlaw(line: 1, problem: "several columns of labels are called '\(twice)'")
    }
    guard columns.separator == nil else {
      throw LabelTableFlaw(
        line: 1,
        problem: "--label-separator has no effect: every class has a column of its own")
    }
  }

  /// For people.
  func description(_ header: [String]) -> String {
    switch self {
    case .name(let column): "labels by '\(header[column])'"
    case .list(let column, let separator):
      "several labels a photo by '\(header[column])', \(separator.text)"
    case .indicators(let columns, let hasMinusForNo):
      "several labels a photo by the \(columns.count) columns "
        + listed(columns.map { "'\(header[$0])'" }, limit: 20)
        + (hasMinusForNo ? ", where -1 is taken for no, as nothing is 0" : "")
    }
  }

  /// Its columns.
  var places: [Int] {
    switch self {
    case .name(let column), .list(let column, _): [column]
    case .indicators(let columns, _): columns
    }
  }

  /// The names in a row as their cells write them, to find those that are written in several ways.
  ///
  /// Blanks around the names of a list are as usual as none.
  func spellings(_ row: DelimitedText.Row) -> [(name: String, spelling: [UInt8])] {
    switch self {
    case .name(let column):
      let (cell, name) = (row.cells[column], row.cells[column].trimmed)
      return name.isEmpty ? [] : [(name, Array(cell.utf8))]
    case .list(let column, let separator):
      return separator.parts(row.cells[column]).map { ($0, Array($0.utf8)) }
    case .indicators: return []
    }
  }

  /// The labels that a row names.
  ///
  /// - Throws: a flaw in its line.
  func labels(_ row: DelimitedText.Row, _ header: [String]) throws(LabelTableFlaw) -> LabelSet {
    switch self {
    case .name(let column):
      let name = row.cells[column].trimmed
      return LabelSet(present: name.isEmpty ? [] : [name])
    case .list(let column, let separator):
      let cell = row.cells[column]
      guard !cell.contains(LabelSeparator.unreadableMark) else {
        throw LabelTableFlaw(
          line: row.line,
          problem: "'\(header[column])' is neither a text, a number, nor a list of those")
      }
      let names = separator.parts(cell)
      if let word = names.first(where: { ["?", "nan"].contains($0.lowercased()) }) {
        throw LabelTableFlaw(
          line: row.line,
          problem: "'\(word)' among the labels; leave the cell empty for a photo without any")
      }
      return LabelSet(present: names)
    case .indicators(let columns, let hasMinusForNo):
      var (present, unknown): ([String], [String]) = ([], [])
      for column in columns {
        let cell = row.cells[column]
        if hasMinusForNo, Indicator.isMinusOne(cell) { continue }
        switch Indicator(cell, isStrict: false) {
        case .yes: present.append(header[column])
        case .no: break
        case .unknown: unknown.append(header[column])
        case nil:
          throw LabelTableFlaw(
            line: row.line,
            problem:
              "'\(row.cells[column].trimmed)' in the column '\(header[column])' is neither 0 nor"
              + " 1, nor empty for unknown. If it is no class, name the classes with --table-columns"
              + " label=A,label=B")
        }
      }
      return LabelSet(present: present, unknown: unknown)
    }
  }
}

/// What a cell says of one class.
enum Indicator {
  case yes, no, unknown

  /// Whether a cell is -1: uncertain beside 0 and 1, no where there is no 0.
  static func isMinusOne(_ cell: String) -> Bool { ["-1", "-1.0"].contains(cell.trimmed) }

  /// - Parameter isStrict: whether words count only where they can mean nothing else.
  init?(_ cell: String, isStrict: Bool) {
    switch cell.trimmed.lowercased() {
    case "1", "1.0", "true": self = .yes
    case "0", "0.0", "false": self = .no
    // -1 is how radiologists' uncertain findings are written.
    case "", "?", "nan", "-1", "-1.0": self = .unknown
    case "yes",
      "y" where !isStrict:
      self = .yes
    case "no",
      "n" where !isStrict:
      self = .no
    case "na", "n/a", "null", "none",
      "unknown" where !isStrict:
      self = .unknown
    default: return nil
    }
  }
}

/// What stands between the labels of one cell.
package enum LabelSeparator: Sendable, Hashable {
  /// One character: `|`, `;`, `,`.
  case character(Character)
  /// Blanks.
  case space
  /// As lists of programs: `["a", "b"]`.
  case brackets
  /// A list of JSON, see ``listMark``.
  case json

  /// Begins each element of a JSON list, as no name does.
  static let listMark: Character = "\u{1F}"

  /// Stands for a value of JSON that cannot be a label.
  static let unreadableMark: Character = "\u{1A}"

  /// The option's text: one character, or `space`; nil for anything else.
  package init?(option text: String) {
    if text == "space" || text == " " {
      self = .space
    } else if text.count == 1, let character = text.first, !character.isLetter, !character.isNumber
    {
      self = .character(character)
    } else {
      return nil
    }
  }

  /// What separates the labels of a column; nil when it holds one name a cell.
  ///
  /// Bars and semicolons do wherever they are. Commas and blanks occur in names too: commas only in a
  /// column whose name promises several labels, blanks if the words recur besides.
  init?(of cells: [String], isPlural: Bool) {
    let filled = cells.filter { !$0.isEmpty }
    if cells.contains(where: {
      $0.first == LabelSeparator.listMark || $0.first == LabelSeparator.unreadableMark
    }) {
      self = .json
    } else if !filled.isEmpty, filled.allSatisfy({ $0.hasPrefix("[") && $0.hasSuffix("]") }) {
      self = .brackets
    } else if let sign = ["|", ";"].first(where: { sign in filled.contains { $0.contains(sign) } })
    {
      self = .character(Character(sign))
    } else if isPlural, filled.contains(where: { $0.contains(",") }) {
      self = .character(",")
    } else if isPlural, filled.contains(where: { $0.contains(" ") }) {
      let wholes = Set(filled)
      let words = Set(filled.flatMap { LabelSeparator.space.parts($0) })
      guard words.count < wholes.count else { return nil }
      self = .space
    } else {
      return nil
    }
  }

  /// For people.
  var text: String {
    switch self {
    case .character(let character): "separated by '\(character)'"
    case .space: "separated by blanks"
    case .brackets, .json: "as lists"
    }
  }

  /// The names in a cell, each once.
  func parts(_ cell: String) -> [String] {
    var text = cell.trimmed
    switch self {
    case .character(let character):
      return LabelSeparator.names(text.split(separator: character))
    case .space: return LabelSeparator.names(text.split(whereSeparator: \.isWhitespace))
    case .json: return LabelSeparator.names(text.split(separator: LabelSeparator.listMark))
    case .brackets:
      if text.hasPrefix("["), text.hasSuffix("]") { text = String(text.dropFirst().dropLast()) }
      return LabelSeparator.names(text.split(separator: ",")).map { name in
        let quotes: [Character] = ["'", "\""]
        guard name.count > 1, let first = name.first, quotes.contains(first), name.last == first
        else { return name }
        return String(name.dropFirst().dropLast())
      }.filter { !$0.isEmpty }
    }
  }

  private static func names(_ parts: [Substring]) -> [String] {
    parts.map { String($0).trimmed }.filter { !$0.isEmpty }
  }
}
