// SPDX-License-Identifier: Apache-2.0

import ThawConsole
import ThawFiles

/// A piece of HTML or SVG that is safe by construction.
///
/// Only literals in this module's source are taken as tags; every interpolated string is escaped:
///
///     let cell: Markup = "<td title=\"\(path)\">\(name)</td>"
///
/// The escapes (`&amp; &lt; &gt; &quot; &#39;`) hold in text and inside quoted attributes, so a
/// hostile name can leave neither. Hidden characters are made visible first (``VisibleText``).
/// Interpolation is for text and quoted attribute values only, never for tag names or CSS.
package struct Markup: ExpressibleByStringInterpolation, Sendable, Hashable {
  /// The finished text.
  package private(set) var text: String

  /// Takes a literal of this module's source as it is.
  package init(stringLiteral value: StaticString) {
    text = value.withUTF8Buffer { String(decoding: $0, as: UTF8.self) }
  }

  /// Puts literal and escaped parts together.
  package init(stringInterpolation: StringInterpolation) { text = stringInterpolation.text }

  /// Text from outside, escaped.
  package init(escaping value: String) { text = Self.escape(value) }

  /// Text already known to be safe: style sheets, base-64, other generated material.
  package init(trusted value: String) { text = value }

  /// Adds `right` at the end of `left`.
  package static func += (left: inout Markup, right: Markup) { left.text += right.text }

  /// The two pieces one after the other.
  package static func + (left: Markup, right: Markup) -> Markup {
    Markup(trusted: left.text + right.text)
  }

  /// The pieces one after the other.
  package static func joined(_ pieces: some Sequence<Markup>, separator: Markup = "") -> Markup {
    Markup(trusted: pieces.map(\.text).joined(separator: separator.text))
  }

  private static func escape(_ value: String) -> String {
    let visible = VisibleText.escape(value)
    var result = ""
    result.reserveCapacity(visible.utf8.count)
    for scalar in visible.unicodeScalars {
      switch scalar {
      case "&": result += "&amp;"
      case "<": result += "&lt;"
      case ">": result += "&gt;"
      case "\"": result += "&quot;"
      case "'": result += "&#39;"
      default: result.unicodeScalars.append(scalar)
      }
    }
    return result
  }

  /// Collects a literal's parts: what is between them is escaped unless it is markup itself.
  package struct StringInterpolation: StringInterpolationProtocol, Sendable {
    fileprivate var text = ""

    /// Starts empty, with room for the literal.
    package init(literalCapacity: Int, interpolationCount: Int) {
      text.reserveCapacity(literalCapacity + interpolationCount * 16)
    }

    /// Adds a part of the literal as it is.
    package mutating func appendLiteral(_ literal: StaticString) {
      literal.withUTF8Buffer { text += String(decoding: $0, as: UTF8.self) }
    }

    /// Adds escaped text.
    package mutating func appendInterpolation(_ value: String) { text += Markup.escape(value) }

    /// Adds markup as it is.
    package mutating func appendInterpolation(_ value: Markup) { text += value.text }

    /// Adds a whole number.
    package mutating func appendInterpolation(_ value: Int) { text += String(value) }

    /// Adds a coordinate with up to two decimals; a non-finite one would be a defect and becomes 0.
    package mutating func appendInterpolation(_ value: Double) {
      guard value.isFinite else { return text += "0" }
      var number = Format.fixed(value, 2)
      while number.hasSuffix("0") { number.removeLast() }
      if number.hasSuffix(".") { number.removeLast() }
      text += number
    }
  }
}
