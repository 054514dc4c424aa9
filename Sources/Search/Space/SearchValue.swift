// SPDX-License-Identifier: Apache-2.0

import ThawConsole

/// A value that a trial gives to a parameter: what a recipe has after the key.
package enum SearchValue: Hashable, Sendable, Codable {
  /// A number with a point.
  case number(Double)
  /// A whole number.
  case whole(Int)
  /// A word.
  case word(String)

  /// As a recipe writes it.
  package var text: String {
    switch self {
    case .number(let number): number.description
    case .whole(let number): number.description
    case .word(let word): word
    }
  }

  /// Its size; nil for a word.
  package var size: Double? {
    switch self {
    case .number(let number): number
    case .whole(let number): Double(number)
    case .word: nil
    }
  }

  /// As JSON has it: a number or a string.
  package init(from decoder: any Decoder) throws {
    let container = try decoder.singleValueContainer()
    if let number = try? container.decode(Int.self) {
      self = .whole(number)
    } else if let number = try? container.decode(Double.self) {
      self = .number(number)
    } else {
      self = .word(try container.decode(String.self))
    }
  }

  /// A JSON number or string.
  package func encode(to encoder: any Encoder) throws {
    var container = encoder.singleValueContainer()
    switch self {
    case .number(let number): try container.encode(number)
    case .whole(let number): try container.encode(number)
    case .word(let word): try container.encode(word)
    }
  }
}
