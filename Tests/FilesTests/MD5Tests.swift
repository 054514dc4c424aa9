// SPDX-License-Identifier: Apache-2.0

import Testing
import ThawFiles

@Suite struct MD5Tests {
  @Test(arguments: [
    ("", "d41d8cd98f00b204e9800998ecf8427e"),
    ("abc", "900150983cd24fb0d6963f7d28e17f72"),
    (
      "12345678901234567890123456789012345678901234567890123456789012345678901234567890",
      "57edf4a22be3c955ac49da2e2107b67a"
    ),
  ])
  func agreesWithTheStandardsVectors(text: String, digest: String) {
    for cut in 0...min(text.utf8.count, 70) {
      var hash = MD5()
      Array(text.utf8.prefix(cut)).withUnsafeBytes { hash.update($0) }
      Array(text.utf8.dropFirst(cut)).withUnsafeBytes { hash.update($0) }
      #expect(hash.hexadecimalDigest == digest)
    }
  }
}
