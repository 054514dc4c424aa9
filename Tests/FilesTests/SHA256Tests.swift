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

  @Test func aCopyThatIsFedFurtherLeavesTheOriginalAlone() {
    var original = SHA256()
    original.update(Array("a".utf8))
    let before = original.hexadecimalDigest
    var copy = original
    copy.update(Array("bc".utf8))
    #expect(original.hexadecimalDigest == before)
    #expect(copy.hexadecimalDigest == SHA256.hexadecimal(of: Array("abc".utf8)))
    original.update(Array("x".utf8))
    #expect(copy.hexadecimalDigest == SHA256.hexadecimal(of: Array("abc".utf8)))
    #expect(original.hexadecimalDigest == SHA256.hexadecimal(of: Array("ax".utf8)))
  }

  @Test func copiesInManyThreadsDoNotMeet() async {
    var start = SHA256()
    start.update([1, 2, 3])
    let common = start
    let digests = await withTaskGroup(of: String.self) { group in
      for _ in 0..<64 {
        group.addTask {
          var hash = common
          for byte in UInt8(0)..<200 { hash.update([byte]) }
          return hash.hexadecimalDigest
        }
      }
      return await group.reduce(into: Set<String>()) { $0.insert($1) }
    }
    #expect(digests == [SHA256.hexadecimal(of: [1, 2, 3] + Array(0..<200))])
    #expect(common.hexadecimalDigest == SHA256.hexadecimal(of: [1, 2, 3]))
  }

  @Test func textsDoNotRunTogether() {
    var one = SHA256()
    one.update("ab")
    one.update("c")
    #expect(one.hexadecimalDigest == SHA256.hexadecimal(of: [0x61, 0x62, 0, 0x63, 0]))
  }
}
