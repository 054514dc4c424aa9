// SPDX-License-Identifier: Apache-2.0

import Foundation
import ThawFiles

/// Results as JSON documents: sorted keys in snake case, numbers as they are.
///
/// JSON writes control characters below 32 out; here all that would act on a terminal or reorder
/// text is written as `\u009b` and the like, which every reader takes for the character itself.
package enum JSONText {
  /// One document.
  ///
  /// - Throws: `EncodingError` for NaN or infinite numbers, which JSON does not have.
  package static func of(_ value: some Encodable) throws -> String {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .prettyPrinted, .withoutEscapingSlashes]
    encoder.keyEncodingStrategy = .convertToSnakeCase
    return visible(String(decoding: try encoder.encode(value), as: UTF8.self))
  }

  private static func visible(_ document: String) -> String {
    // Between values there are line feeds; inside of strings the encoder wrote them out.
    func hides(_ scalar: Unicode.Scalar) -> Bool { VisibleText.isHidden(scalar) && scalar != "\n" }
    guard document.unicodeScalars.contains(where: hides) else { return document }
    var result = ""
    for scalar in document.unicodeScalars {
      guard hides(scalar) else {
        result.unicodeScalars.append(scalar)
        continue
      }
      for unit in String(scalar).utf16 {
        let digits = String(unit, radix: 16)
        result += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
      }
    }
    return result
  }
}
