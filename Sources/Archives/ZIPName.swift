// SPDX-License-Identifier: Apache-2.0

/// The name of a zip entry in Unicode, whatever wrote it.
///
/// Archivers of Unix and macOS store UTF-8, often without saying so; Windows stores the code page of old
/// IBM PCs, with the name in UTF-8 in a field beside it or without. What is not UTF-8 and has no such field
/// is read as that code page, as Python's `zipfile` does.
///
/// - Source: PKWARE APPNOTE.TXT 6.3, appendix D, and 4.6.9, "Info-ZIP Unicode Path".
enum ZIPName {
  /// - Parameters:
  ///   - stored: as the directory has it.
  ///   - extra: the fields beside it.
  static func unicode(_ stored: [UInt8], extra: [UInt8]) -> [UInt8] {
    if let beside = nameBeside(stored, extra) { return beside }
    guard String(validating: stored, as: UTF8.self) == nil else { return stored }
    var result = ""
    for byte in stored {
      result.unicodeScalars.append(
        byte < 0x80 ? Unicode.Scalar(byte) : upperHalf[Int(byte) - 0x80])
    }
    return Array(result.utf8)
  }

  /// What the field says, where it is a field of this very name.
  private static func nameBeside(_ stored: [UInt8], _ extra: [UInt8]) -> [UInt8]? {
    var place = 0
    while place + 4 <= extra.count {
      let identifier = UInt16(extra[place]) | UInt16(extra[place + 1]) << 8
      let length = Int(extra[place + 2]) | Int(extra[place + 3]) << 8
      let start = place + 4
      guard start + length <= extra.count else { return nil }
      place = start + length
      // Version 1, the checksum of the stored name, the name.
      guard identifier == 0x7075, length > 5, extra[start] == 1 else { continue }
      var checksum = CRC32()
      checksum.update(stored)
      let stated = (1...4).reduce(UInt32(0)) { $0 | UInt32(extra[start + $1]) << (8 * ($1 - 1)) }
      let name = Array(extra[(start + 5)..<(start + length)])
      let isSafe =
        String(validating: name, as: UTF8.self) != nil && !name.contains(0)
        && !name.contains(0x5C) && name.first != 0x2F
        && !name.split(separator: 0x2F).contains { $0.elementsEqual([0x2E, 0x2E]) }
        && (name.last == 0x2F) == (stored.last == 0x2F)
      return isSafe && checksum.value == stated ? name : nil
    }
    return nil
  }

  /// Code page 437 from 0x80 on.
  private static let upperHalf = Array(
    """
    ÇüéâäàåçêëèïîìÄÅÉæÆôöòûùÿÖÜ¢£¥₧ƒáíóúñÑªº¿⌐¬½¼¡«»░▒▓│┤╡╢╖╕╣║╗╝╜╛┐\
    └┴┬├─┼╞╟╚╔╩╦╠═╬╧╨╤╥╙╘╒╓╫╪┘┌█▄▌▐▀αßΓπΣσµτΦΘΩδ∞φε∩≡±≥≤⌠⌡÷≈°∙·√ⁿ²■\u{A0}
    """.unicodeScalars)
}
