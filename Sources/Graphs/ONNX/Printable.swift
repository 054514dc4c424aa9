// SPDX-License-Identifier: Apache-2.0

/// A text from a file for a message: printable, short.
struct Printable: CustomStringConvertible {
  let description: String

  init(_ text: String) {
    description = String(
      text.unicodeScalars.prefix(80).map {
        $0.value < 0x20 || $0.value == 0x7F ? "?" : Character($0)
      })
  }
}
