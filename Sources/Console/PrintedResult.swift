// SPDX-License-Identifier: Apache-2.0

import ThawFiles

/// What a command prints: text for people, or a document for a program.
///
/// A class called `\u{1b}[2J` must not clear the screen of whoever looks at either.
package enum PrintedResult: Sendable, Equatable {
  /// Lines for people; what acts on a terminal is written out wherever they go.
  case text(String)
  /// JSON or CSV, exact wherever a program reads it. On a terminal people read it, and it is shown
  /// to them like any text.
  case document(String)

  /// What is written.
  package func written(toTerminal isTerminal: Bool) -> String {
    switch self {
    case .text(let text): VisibleText.escapeLines(text)
    case .document(let text) where !isTerminal: text
    // The rows of CSV end with CR LF.
    case .document(let text): VisibleText.escapeLines(text.replacing("\r\n", with: "\n"))
    }
  }
}
