// SPDX-License-Identifier: Apache-2.0

/// Reads the few Python literals that an array's header consists of: one flat dict of texts,
/// booleans and tuples of integers. Nothing is evaluated.
struct PythonLiteral {
  enum Value: Equatable {
    case text(String)
    case boolean(Bool)
    case tuple([Int])
  }

  private let bytes: [UInt8]
  private var position = 0

  init(_ bytes: [UInt8]) { self.bytes = bytes }

  /// The whole input as a dict, nil when it is anything else.
  mutating func dictionary() -> [String: Value]? {
    var result: [String: Value] = [:]
    guard take("{") else { return nil }
    while !take("}") {
      guard let key = text(), take(":"), let value = value(),
        result.updateValue(value, forKey: key) == nil, take(",") || peek == UInt8(ascii: "}")
      else { return nil }
    }
    skipSpace()
    return position == bytes.count ? result : nil
  }

  private mutating func value() -> Value? {
    if word("True") { return .boolean(true) }
    if word("False") { return .boolean(false) }
    if peek == UInt8(ascii: "(") { return tuple().map(Value.tuple) }
    return text().map(Value.text)
  }

  private mutating func tuple() -> [Int]? {
    guard take("(") else { return nil }
    var numbers: [Int] = []
    while !take(")") {
      guard numbers.count < 64, let number = integer(), take(",") || peek == UInt8(ascii: ")")
      else { return nil }
      numbers.append(number)
    }
    return numbers
  }

  private mutating func integer() -> Int? {
    skipSpace()
    let start = position
    while position < bytes.count, (0x30...0x39).contains(bytes[position]) { position += 1 }
    let digits = String(decoding: bytes[start..<position], as: UTF8.self)
    _ = word("L")  // Python 2's long integers
    return Int(digits)
  }

  private mutating func text() -> String? {
    skipSpace()
    guard position < bytes.count, bytes[position] == 0x27 || bytes[position] == 0x22 else {
      return nil
    }
    let quote = bytes[position]
    guard let end = bytes[(position + 1)...].firstIndex(of: quote) else { return nil }
    let content = bytes[(position + 1)..<end]
    position = end + 1
    // An escape would have to be decoded; no type's name has one.
    guard !content.contains(0x5C) else { return nil }
    return String(validating: content, as: UTF8.self)
  }

  private var peek: UInt8? {
    mutating get {
      skipSpace()
      return position < bytes.count ? bytes[position] : nil
    }
  }

  private mutating func take(_ character: Unicode.Scalar) -> Bool {
    guard peek == UInt8(ascii: character) else { return false }
    position += 1
    return true
  }

  private mutating func word(_ word: String) -> Bool {
    skipSpace()
    guard bytes[position...].starts(with: word.utf8) else { return false }
    position += word.utf8.count
    return true
  }

  private mutating func skipSpace() {
    while position < bytes.count, [0x20, 0x09, 0x0A, 0x0D].contains(bytes[position]) {
      position += 1
    }
  }
}
