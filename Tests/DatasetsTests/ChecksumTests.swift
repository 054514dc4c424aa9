// SPDX-License-Identifier: Apache-2.0

import Testing
import ThawDatasets

@Suite struct ChecksumTests {
  /// Values of the reference implementation.
  @Test(arguments: [
    ("", 0xEF46_DB37_51D8_E999 as UInt64), ("a", 0xD24E_C4F1_A98C_6E5B),
    ("abc", 0x44BC_2CF5_AD77_0999),
    ("Call me Ishmael. Some years ago--never mind how long precisely-", 0x02A2_E854_70D6_FD96),
  ])
  func matchesTheReference(text: String, expected: UInt64) {
    #expect(Checksum.of(Array(text.utf8)) == expected)
  }

  @Test func everyBitCounts() {
    var bytes = (0..<101).map { UInt8($0) }
    let whole = Checksum.of(bytes)
    for position in bytes.indices {
      bytes[position] ^= 0x10
      #expect(Checksum.of(bytes) != whole)
      bytes[position] ^= 0x10
    }
    #expect(Checksum.of(bytes, seed: 1) != whole)
  }
}
