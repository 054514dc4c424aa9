// SPDX-License-Identifier: Apache-2.0

import ThawFiles

/// A hash of named fields: the key of something that depends on them and on nothing else.
///
/// Every field is written by its own name and an explicit text, never by Swift's description of a
/// value, which follows the names of types and modules. Each piece ends with a zero byte, and counts go
/// before lists, so that two different sequences of fields never give the same bytes.
struct KeyHash {
  private var hash = SHA256()

  /// Begins the key of a `kind` of things.
  ///
  /// - Parameter version: of the fields and of what is computed from them. It is raised when a field is
  ///   added, or when the same fields would give other numbers.
  init(_ kind: String, version: Int) { hash.update("\(kind) \(version)") }

  /// Adds a text.
  mutating func add(_ name: String, _ value: String) {
    hash.update(name)
    hash.update(value)
  }

  /// Adds whole numbers, with their count.
  mutating func add(_ name: String, _ values: Int...) { add(name, values) }

  /// Adds a list of whole numbers.
  mutating func add(_ name: String, _ values: [Int]) {
    add(name, ([values.count] + values).map(String.init).joined(separator: " "))
  }

  /// Adds a number by its bits.
  mutating func add(_ name: String, _ value: Double) {
    add(name, String(value.bitPattern, radix: 16))
  }

  /// Adds a flag.
  mutating func add(_ name: String, _ value: Bool) { add(name, value ? "yes" : "no") }

  /// Adds a list of texts.
  mutating func add(_ name: String, list: [String]) {
    add(name, list.count)
    for text in list { hash.update(text) }
  }

  /// Adds numbers as they lie in memory, with their count.
  mutating func add(_ name: String, bytes: UnsafeRawBufferPointer) {
    add(name, bytes.count)
    hash.update(bytes)
  }

  /// 64 lower-case hexadecimal digits.
  var key: String { hash.hexadecimalDigest }
}
