// SPDX-License-Identifier: Apache-2.0

/// A rule that turns the names of one library into those of another.
///
/// In the pattern `#` stands for a number and `*`, at the end, for the rest. In the result `{0}` is the
/// first number, `{1+1}` the second one and 1, `{0*2+1}` twice the first and 1; `*` is the rest.
///
///     "encoder.stages.#.layers.#.layer.#.convolution.*" -> "layer{0+1}.{1}.conv{2+1}.*"
package struct NamePattern: Sendable {
  private let pattern: [UInt8]
  private let result: [Piece]

  private enum Piece {
    case text(String)
    case number(index: Int, factor: Int, term: Int)
    case rest
  }

  /// See the type for what may stand in both.
  package init(_ pattern: String, _ result: String) {
    self.pattern = Array(pattern.utf8)
    self.result = NamePattern.pieces(result)
  }

  /// The new name; nil when the pattern does not match.
  package func translate(_ name: String) -> String? {
    var (numbers, rest) = ([Int](), "")
    var bytes = name.utf8[...]
    for byte in pattern {
      switch byte {
      case UInt8(ascii: "#"):
        let digits = bytes.prefix { (0x30...0x39).contains($0) }
        guard let number = Int(Substring(digits)), number < 10_000 else { return nil }
        numbers.append(number)
        bytes = bytes.dropFirst(digits.count)
      case UInt8(ascii: "*"):
        rest = String(Substring(bytes))
        bytes = bytes.suffix(0)
      default:
        guard bytes.first == byte else { return nil }
        bytes = bytes.dropFirst()
      }
    }
    guard bytes.isEmpty else { return nil }
    return result.map { piece in
      switch piece {
      case .text(let text): text
      case .number(let index, let factor, let term):
        index < numbers.count ? "\(numbers[index] * factor + term)" : "?"
      case .rest: rest
      }
    }.joined()
  }

  private static func pieces(_ text: String) -> [Piece] {
    var pieces: [Piece] = []
    for part in text.split(separator: "{", omittingEmptySubsequences: false).enumerated() {
      var rest = part.element
      if part.offset > 0, let end = rest.firstIndex(of: "}") {
        pieces.append(number(String(rest[..<end])))
        rest = rest[rest.index(after: end)...]
      }
      if rest.hasSuffix("*") {
        pieces += [.text(String(rest.dropLast())), .rest]
      } else if !rest.isEmpty {
        pieces.append(.text(String(rest)))
      }
    }
    return pieces
  }

  /// `0`, `1+1`, `0-1`, `0*2+1`.
  private static func number(_ text: String) -> Piece {
    let sign = text.firstIndex { "+-".contains($0) } ?? text.endIndex
    let parts = text[..<sign].split(separator: "*").compactMap { Int($0) }
    let term = Int(text[sign...].drop { $0 == "+" }) ?? 0
    return .number(index: parts.first ?? 0, factor: parts.count > 1 ? parts[1] : 1, term: term)
  }
}

extension [NamePattern] {
  /// Rules in the order in which they are tried.
  package init(_ rules: KeyValuePairs<String, String>) {
    self = rules.map { NamePattern($0.key, $0.value) }
  }

  /// What the first rule that matches makes of `name`; nil when none does.
  package func translate(_ name: String) -> String? {
    for rule in self {
      if let result = rule.translate(name) { return result }
    }
    return nil
  }
}
