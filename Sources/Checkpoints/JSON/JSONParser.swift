// SPDX-License-Identifier: Apache-2.0

import ThawArchives

/// A strict JSON reader: UTF-8 without a byte order mark, every name once, nothing after the
/// document, at most 128 levels; a number with a fraction or an exponent is not an integer.
///
/// Two names that Unicode spells in two ways count as one, because a dictionary would lose one.
///
/// - Source: RFC 8259.
struct JSONParser {
  private let bytes: UnsafeBufferPointer<UInt8>
  private var position = 0

  private let memberLimit: Int

  private init(_ bytes: UnsafeBufferPointer<UInt8>, _ memberLimit: Int) {
    self.bytes = bytes
    self.memberLimit = memberLimit
  }

  /// - Parameter memberLimit: how many members one object may have.
  static func parse(
    _ bytes: [UInt8], memberLimit: Int = .max
  ) throws(JSONError) -> JSONValue {
    try bytes.withUnsafeBufferPointer { (buffer) throws(JSONError) in
      var parser = JSONParser(buffer, memberLimit)
      let value = try parser.value(depth: 0)
      parser.skipSpace()
      guard parser.position == buffer.count else {
        throw parser.error("something follows the document")
      }
      return value
    }
  }

  private func error(_ reason: String) -> JSONError { JSONError(offset: position, reason: reason) }

  private var next: UInt8? { position < bytes.count ? bytes[position] : nil }

  private mutating func skipSpace() {
    while let byte = next, byte == 0x20 || byte == 0x0A || byte == 0x0D || byte == 0x09 {
      position += 1
    }
  }

  private mutating func take(_ byte: UInt8) -> Bool {
    guard next == byte else { return false }
    position += 1
    return true
  }

  private mutating func value(depth: Int) throws(JSONError) -> JSONValue {
    guard depth < 128 else { throw error("more than 128 levels") }
    skipSpace()
    switch next {
    case 0x7B: return .object(try members(depth))
    case 0x5B: return .array(try elements(depth))
    case 0x22: return .string(try string())
    case 0x74: return try word("true", .boolean(true))
    case 0x66: return try word("false", .boolean(false))
    case 0x6E: return try word("null", .null)
    case 0x2D: return try number()
    case let byte? where (0x30...0x39).contains(byte): return try number()
    case nil: throw error("a value is expected, found the end")
    default: throw error("a value is expected")
    }
  }

  private mutating func word(_ word: String, _ value: JSONValue) throws(JSONError) -> JSONValue {
    let count = word.utf8.count
    guard bytes[position...].prefix(count).elementsEqual(word.utf8) else {
      throw error("a value is expected")
    }
    position += count
    return value
  }

  private mutating func members(_ depth: Int) throws(JSONError) -> [JSONMember] {
    position += 1
    var members: [JSONMember] = []
    var names: Set<String> = []
    skipSpace()
    if take(0x7D) { return members }
    repeat {
      skipSpace()
      guard next == 0x22 else { throw error("a name in quotes is expected") }
      let start = position
      let name = try string()
      // A set only for the large ones: a header has a small object a tensor.
      let isNew =
        members.count < 8 ? !members.contains { $0.name == name } : names.insert(name).inserted
      guard isNew else {
        throw JSONError(offset: start, reason: "the name \(quoted(name)) occurs twice")
      }
      skipSpace()
      guard take(0x3A) else { throw error("':' is expected") }
      members.append(JSONMember(name, try value(depth: depth + 1)))
      guard members.count <= memberLimit else {
        throw JSONError(offset: start, reason: "more than \(memberLimit) entries", isLimit: true)
      }
      if members.count == 8 { names = Set(members.map(\.name)) }
      skipSpace()
    } while take(0x2C)
    guard take(0x7D) else { throw error("',' or '}' is expected") }
    return members
  }

  private mutating func elements(_ depth: Int) throws(JSONError) -> [JSONValue] {
    position += 1
    var elements: [JSONValue] = []
    skipSpace()
    if take(0x5D) { return elements }
    repeat {
      elements.append(try value(depth: depth + 1))
      skipSpace()
    } while take(0x2C)
    guard take(0x5D) else { throw error("',' or ']' is expected") }
    return elements
  }

  // MARK: Numbers

  private mutating func digits() throws(JSONError) {
    guard let byte = next, (0x30...0x39).contains(byte) else { throw error("a digit is expected") }
    while let byte = next, (0x30...0x39).contains(byte) { position += 1 }
  }

  private mutating func number() throws(JSONError) -> JSONValue {
    let start = position
    let isNegative = take(0x2D)
    let first = position
    try digits()
    guard bytes[first] != 0x30 || position == first + 1 else {
      throw error("a number begins with 0")
    }
    var isInteger = true
    if take(0x2E) {
      isInteger = false
      try digits()
    }
    if next == 0x65 || next == 0x45 {
      isInteger = false
      position += 1
      if !take(0x2B) { _ = take(0x2D) }
      try digits()
    }
    let text = String(decoding: bytes[start..<position], as: UTF8.self)
    if isInteger, let integer = Int(text), !(isNegative && integer == 0) {
      return .integer(integer)
    }
    guard let number = Double(text), number.isFinite else { throw error("the number is too large") }
    return .number(number)
  }

  // MARK: Strings

  private mutating func string() throws(JSONError) -> String {
    position += 1
    let start = position
    while let byte = next, byte != 0x22, byte != 0x5C, byte >= 0x20 { position += 1 }
    if next == 0x22 {
      defer { position += 1 }
      return try text(UnsafeBufferPointer(rebasing: bytes[start..<position]), start)
    }
    var unescaped = Array(bytes[start..<position])
    while let byte = next, byte != 0x22 {
      guard byte >= 0x20 else { throw error("a control character in a text") }
      position += 1
      if byte == 0x5C { try escape(into: &unescaped) } else { unescaped.append(byte) }
    }
    guard take(0x22) else { throw error("a text without its end") }
    return try text(unescaped, start)
  }

  private func text(
    _ bytes: some Collection<UInt8>, _ start: Int
  ) throws(JSONError) -> String {
    guard let text = String(validating: bytes, as: UTF8.self) else {
      throw JSONError(offset: start, reason: "a text is not UTF-8")
    }
    return text
  }

  private mutating func escape(into text: inout [UInt8]) throws(JSONError) {
    guard let byte = next else { throw error("a text without its end") }
    position += 1
    switch byte {
    case 0x22, 0x5C, 0x2F: text.append(byte)
    case 0x62: text.append(0x08)
    case 0x66: text.append(0x0C)
    case 0x6E: text.append(0x0A)
    case 0x72: text.append(0x0D)
    case 0x74: text.append(0x09)
    case 0x75: text += try escapedScalar().utf8
    default: throw error("an unknown escape in a text")
    }
  }

  /// `\uXXXX`, or two of them for a scalar beyond 0xFFFF.
  private mutating func escapedScalar() throws(JSONError) -> String {
    let first = try hexadecimal()
    var value = first
    if (0xD800..<0xDC00).contains(first), take(0x5C), take(0x75) {
      let second = try hexadecimal()
      guard (0xDC00..<0xE000).contains(second) else { throw error("half a surrogate pair") }
      value = 0x10000 + (first - 0xD800) << 10 + (second - 0xDC00)
    }
    guard let scalar = Unicode.Scalar(value) else { throw error("half a surrogate pair") }
    return String(Character(scalar))
  }

  private mutating func hexadecimal() throws(JSONError) -> UInt32 {
    var value: UInt32 = 0
    for _ in 0..<4 {
      guard let byte = next, let digit = Character(Unicode.Scalar(byte)).hexDigitValue else {
        throw error("four hexadecimal digits are expected")
      }
      value = value << 4 | UInt32(digit)
      position += 1
    }
    return value
  }
}
