// SPDX-License-Identifier: Apache-2.0

/// What a table says of one photo that may have several labels: the classes that it has, and those of
/// which nobody knows. It has none of the others.
package struct LabelSet: Sendable, Hashable, Codable {
  /// Names of its classes, in byte order, each once; perhaps none.
  package let present: [String]
  /// Names of the classes of which it is not known whether it has them, in byte order.
  package let unknown: [String]

  /// Puts the names in order.
  package init(present: some Sequence<String>, unknown: some Sequence<String> = []) {
    let present = Set(present)
    self.present = present.sorted(by: LabelSet.precedes)
    self.unknown = Set(unknown).subtracting(present).sorted(by: LabelSet.precedes)
  }

  /// For people, and to tell sets apart where one name a photo is expected: `cat + dog`.
  package var text: String {
    (present.isEmpty ? ["(no label)"] : present).joined(separator: " + ")
      + (unknown.isEmpty ? "" : " (unknown: \(unknown.joined(separator: ", ")))")
  }

  static func precedes(_ one: String, _ other: String) -> Bool {
    one.utf8.lexicographicallyPrecedes(other.utf8)
  }
}

/// Whether a photo has one label or may have several.
package enum LabelCount: String, Sendable, Hashable, CaseIterable {
  /// As the table says; folders say one.
  case auto
  /// Exactly one.
  case single = "no"
  /// Several, one or none.
  case several = "yes"
}
