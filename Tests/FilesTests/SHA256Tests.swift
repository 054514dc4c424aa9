// SPDX-License-Identifier: Apache-2.0

import Testing
import ThawFiles

@Suite struct SHA256Tests {
  @Test(arguments: [
    ("", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
    ("abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
    (
      "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
      "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"
    ),
  ])
  func agreesWithTheStandardsVectors(text: String, digest: String) {
    #expect(SHA256.hexadecimal(of: Array(text.utf8)) == digest)
  }

  @Test func aMillionLettersInUnevenPieces() {
    var hash = SHA256()
    var left = 1_000_000
    var piece = 1
    while left > 0 {
      let count = min(piece, left)
      hash.update([UInt8](repeating: 0x61, count: count))
      left -= count
      piece = piece % 130 + 1
    }
    #expect(
      hash.hexadecimalDigest
        == "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0")
  }

  @Test func everyLengthAroundABlockIsPaddedRight() {
    // Hash of n zero bytes fed whole and byte by byte must agree, across the padding's edges.
    for length in 50...130 {
      let bytes = [UInt8](repeating: 0, count: length)
      var hash = SHA256()
      for byte in bytes { hash.update([byte]) }
      #expect(hash.hexadecimalDigest == SHA256.hexadecimal(of: bytes))
    }
  }

  @Test func withAndWithoutTheProcessorsInstructionsItIsTheSame() {
    // On a processor without them this compares the portable loop with itself.
    let bytes = (0..<10_000).map { UInt8(truncatingIfNeeded: $0 &* 2_654_435_761 >> 9) }
    for length in [0, 55, 56, 63, 64, 65, 128, 1000, 9999] {
      var portable = SHA256(portable: ())
      portable.update(Array(bytes[..<length]))
      #expect(portable.hexadecimalDigest == SHA256.hexadecimal(of: Array(bytes[..<length])))
    }
    var abc = SHA256(portable: ())
    abc.update(Array("abc".utf8))
    #expect(
      abc.hexadecimalDigest == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad")
  }
}
