// SPDX-License-Identifier: Apache-2.0

/// A table as comma-separated values that a spreadsheet opens without running anything.
///
/// Quoting: a cell with a comma, a quote or a line break is put in quotes, and quotes in it are
/// doubled. Rows end with CR LF. Text is UTF-8 without a byte-order mark.
/// Formula guard: a cell that begins with `=`, `+`, `-`, `@`, tab or carriage return is a formula
/// (or hides one) to a spreadsheet, so it gets a leading apostrophe, unless the whole cell is a
/// plain number such as `-1.5e-3`. Readers that need the exact text take off that apostrophe.
/// - Source: RFC 4180; OWASP "CSV Injection" (CWE-1236).
package struct CSVWriter: Sendable {
  /// Everything written so far.
  package private(set) var text = ""
  /// Cells in each row.
  package let columnCount: Int

  /// Starts a table with a header row of at least one column.
  package init(header: [String]) {
    precondition(!header.isEmpty, "A CSV table needs at least one column.")
    columnCount = header.count
    append(header)
  }

  /// Adds one row with as many cells as the header.
  package mutating func append(_ row: [String]) {
    precondition(
      row.count == columnCount, "A CSV row of \(row.count) cells in \(columnCount) columns.")
    text += row.map(Self.cell).joined(separator: ",")
    text += "\r\n"
  }

  /// One cell, guarded and quoted as the type's description says.
  package static func cell(_ value: String) -> String {
    let guarded = isFormula(value) ? "'" + value : value
    // On scalars: "\r\n" is a single Character, equal to neither "\r" nor "\n".
    let special: Set<Unicode.Scalar> = [",", "\"", "\r", "\n"]
    guard guarded.unicodeScalars.contains(where: special.contains) else { return guarded }
    var quoted = "\""
    for scalar in guarded.unicodeScalars {
      if scalar == "\"" { quoted += "\"" }
      quoted.unicodeScalars.append(scalar)
    }
    return quoted + "\""
  }

  private static func isFormula(_ value: String) -> Bool {
    guard let first = value.unicodeScalars.first else { return false }
    let triggers: Set<Unicode.Scalar> = ["=", "+", "-", "@", "\t", "\r"]
    return triggers.contains(first) && !isNumber(value)
  }

  /// Sign, digits with at most one point, exponent: nothing a formula could be made of.
  private static func isNumber(_ value: String) -> Bool {
    let allowed: Set<Unicode.Scalar> = ["+", "-", ".", "e", "E"]
    let isPlain = value.unicodeScalars.allSatisfy {
      ("0"..."9").contains($0) || allowed.contains($0)
    }
    return isPlain && Double(value) != nil
  }
}
