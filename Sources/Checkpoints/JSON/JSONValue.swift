// SPDX-License-Identifier: Apache-2.0

/// A JSON document as plain values, for headers and metadata whose bytes must be exact.
///
/// The reader is strict (see ``JSONParser``), the writer deterministic: the same value gives the
/// same bytes, members stay in their order.
package indirect enum JSONValue: Sendable, Equatable {
  /// `null`.
  case null
  /// `true` or `false`.
  case boolean(Bool)
  /// A number written without fraction and exponent that fits.
  case integer(Int)
  /// Any other number; `1e2` is one of them.
  case number(Double)
  /// A text.
  case string(String)
  /// A list.
  case array([JSONValue])
  /// Members in the order of the document; names are unique.
  case object([JSONMember])

  /// Parses a whole document.
  ///
  /// - Throws: ``JSONError`` with the byte and the reason.
  package init(parsing text: String) throws(JSONError) {
    self = try JSONParser.parse(Array(text.utf8))
  }

  /// An array of texts.
  package static func strings(_ texts: [String]) -> JSONValue {
    .array(texts.map(JSONValue.string))
  }

  /// The member called `name` of an object, nil otherwise.
  package subscript(name: String) -> JSONValue? {
    guard case .object(let members) = self else { return nil }
    return members.first { $0.name == name }?.value
  }

  /// The text, nil when it is not one.
  package var text: String? { if case .string(let text) = self { text } else { nil } }
  /// The integer, nil when it is not one.
  package var integer: Int? { if case .integer(let number) = self { number } else { nil } }
  /// The number, integers among them; nil when it is not one.
  package var double: Double? {
    switch self {
    case .integer(let number): Double(number)
    case .number(let number): number
    default: nil
    }
  }
  /// The elements, nil when it is not an array.
  package var elements: [JSONValue]? { if case .array(let all) = self { all } else { nil } }

  /// The elements as texts, nil when it is not an array of texts only.
  package var texts: [String]? {
    guard let elements else { return nil }
    let texts = elements.compactMap(\.text)
    return texts.count == elements.count ? texts : nil
  }

  /// The elements as integers, nil when it is not an array of integers only.
  package var integers: [Int]? {
    guard let elements else { return nil }
    let integers = elements.compactMap(\.integer)
    return integers.count == elements.count ? integers : nil
  }

  /// The elements as numbers, integers among them; nil when it is not an array of numbers only.
  package var doubles: [Double]? {
    guard let elements else { return nil }
    let doubles = elements.compactMap(\.double)
    return doubles.count == elements.count ? doubles : nil
  }
}

/// A name and its value in a JSON object.
package struct JSONMember: Sendable, Equatable {
  package let name: String
  package let value: JSONValue

  /// Pairs a name with a value.
  package init(_ name: String, _ value: JSONValue) {
    self.name = name
    self.value = value
  }
}

/// Text that is not the JSON that is expected.
package struct JSONError: Error, Sendable, Equatable, CustomStringConvertible {
  /// The byte where it was noticed.
  package let offset: Int
  /// What was expected or found, one clause.
  package let reason: String
  /// Whether the document may be good, only too large.
  let isLimit: Bool

  init(offset: Int, reason: String, isLimit: Bool = false) {
    self.offset = offset
    self.reason = reason
    self.isLimit = isLimit
  }

  /// Where and what.
  package var description: String { "JSON, byte \(offset): \(reason)." }
}

extension JSONValue {
  /// The document without spaces; traps on a number that is NaN or infinite, which JSON lacks.
  package var serialized: String {
    var bytes: [UInt8] = []
    write(to: &bytes)
    return String(decoding: bytes, as: UTF8.self)
  }

  func write(to bytes: inout [UInt8]) {
    switch self {
    case .null: bytes += "null".utf8
    case .boolean(let value): bytes += (value ? "true" : "false").utf8
    case .integer(let value): bytes += String(value).utf8
    case .number(let value):
      precondition(value.isFinite, "JSON has no number for \(value).")
      bytes += value.description.utf8
    case .string(let text): JSONValue.write(text, to: &bytes)
    case .array(let elements):
      JSONValue.write(elements, "[", "]", to: &bytes) { $0.write(to: &$1) }
    case .object(let members):
      JSONValue.write(members, "{", "}", to: &bytes) { member, bytes in
        JSONValue.write(member.name, to: &bytes)
        bytes.append(0x3A)
        member.value.write(to: &bytes)
      }
    }
  }

  private static func write<Element>(
    _ elements: [Element], _ open: Unicode.Scalar, _ close: Unicode.Scalar,
    to bytes: inout [UInt8], _ body: (Element, inout [UInt8]) -> Void
  ) {
    bytes.append(UInt8(ascii: open))
    for (index, element) in elements.enumerated() {
      if index > 0 { bytes.append(0x2C) }
      body(element, &bytes)
    }
    bytes.append(UInt8(ascii: close))
  }

  private static func write(_ text: String, to bytes: inout [UInt8]) {
    bytes.append(0x22)
    for byte in text.utf8 {
      switch byte {
      case 0x22, 0x5C: bytes += [0x5C, byte]
      case 0x08: bytes += "\\b".utf8
      case 0x09: bytes += "\\t".utf8
      case 0x0A: bytes += "\\n".utf8
      case 0x0C: bytes += "\\f".utf8
      case 0x0D: bytes += "\\r".utf8
      case 0..<0x20: bytes += ("\\u00" + (byte < 16 ? "0" : "") + String(byte, radix: 16)).utf8
      default: bytes.append(byte)
      }
    }
    bytes.append(0x22)
  }
}
