// SPDX-License-Identifier: Apache-2.0

/// A word of a command line that a shell reads back as exactly these bytes.
package enum ShellWord {
  /// `bytes` as they are where no shell minds, else in single quotes; bytes that cannot be shown (control
  /// characters, marks that reorder text, what is not UTF-8) as `$'...'`, which bash, zsh and ksh know.
  package static func quote(_ bytes: some Collection<UInt8>) -> String {
    let bytes = Array(bytes)
    let text = String(decoding: bytes, as: UTF8.self)
    if !bytes.isEmpty && bytes.allSatisfy(isPlain) { return text }
    guard Array(text.utf8) == bytes, !text.unicodeScalars.contains(where: VisibleText.isHidden)
    else { return escaped(bytes) }
    return "'" + text.replacing("'", with: "'\\''") + "'"
  }

  /// The UTF-8 of `text`, quoted.
  package static func quote(_ text: String) -> String { quote(text.utf8) }

  private static func isPlain(_ byte: UInt8) -> Bool {
    switch byte {
    case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
      UInt8(ascii: "0")...UInt8(ascii: "9"):
      true
    default: "/._-+:,@%".utf8.contains(byte)
    }
  }

  private static func escaped(_ bytes: [UInt8]) -> String {
    let parts = bytes.map { byte -> String in
      if isPlain(byte) || byte == UInt8(ascii: " ") {
        return String(decoding: [byte], as: UTF8.self)
      }
      // Three octal digits end by themselves; a hexadecimal digit after \x would be taken with it.
      let octal = String(byte, radix: 8)
      return "\\" + String(repeating: "0", count: 3 - octal.count) + octal
    }
    return "$'" + parts.joined() + "'"
  }
}
