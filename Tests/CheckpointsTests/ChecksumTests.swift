// SPDX-License-Identifier: Apache-2.0

import Testing
import ThawArchives

/// CRC-32, which goes by products of 64 bytes where the processor has them.
@Suite struct ChecksumTests {
  /// Bit by bit, as it is defined.
  private static func reference(_ bytes: some Sequence<UInt8>) -> UInt32 {
    var register = UInt32.max
    for byte in bytes {
      register ^= UInt32(byte)
      for _ in 0..<8 { register = register >> 1 ^ (register & 1 == 1 ? 0xEDB8_8320 : 0) }
    }
    return ~register
  }

  private static let bytes = (0..<4096).map { UInt8(truncatingIfNeeded: $0 &* 193 &+ $0 >> 3) }

  @Test func theUsualExample() {
    var crc = CRC32()
    crc.update(Array("123456789".utf8))
    #expect(crc.value == 0xCBF4_3926)
  }

  @Test(arguments: [0, 1, 63, 64, 255, 256, 257, 319, 320, 383, 1000, 4000])
  func anyLengthAndPlace(_ count: Int) {
    for start in [0, 1, 7, 16, 95] {
      var crc = CRC32()
      Self.bytes.withUnsafeBytes {
        crc.update(UnsafeRawBufferPointer(rebasing: $0[start..<start + count]))
      }
      #expect(crc.value == Self.reference(Self.bytes[start..<start + count]))
    }
  }

  @Test func piecesGiveTheWhole() {
    for cut in [1, 255, 256, 300, 2048, 4000] {
      var crc = CRC32()
      crc.update(Array(Self.bytes[..<cut]))
      crc.update(Array(Self.bytes[cut...]))
      #expect(crc.value == Self.reference(Self.bytes))
    }
  }
}
