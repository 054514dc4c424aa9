// SPDX-License-Identifier: Apache-2.0

import Foundation

/// Results as JSON documents: sorted keys in snake case, numbers as they are.
package enum JSONText {
  /// One document.
  ///
  /// - Throws: `EncodingError` for NaN or infinite numbers, which JSON does not have.
  package static func of(_ value: some Encodable) throws -> String {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .prettyPrinted, .withoutEscapingSlashes]
    encoder.keyEncodingStrategy = .convertToSnakeCase
    return String(decoding: try encoder.encode(value), as: UTF8.self)
  }
}
