// SPDX-License-Identifier: Apache-2.0

import ThawFiles

extension Manifest.Record {
  /// The number that augmentation draws by. It comes from the contents, as the cache's key does:
  /// adding photos changes no draw.
  package var drawNumber: Int { Manifest.drawNumber(sha256: sha256) }
}

extension Manifest {
  fileprivate static func drawNumber(sha256: String) -> Int {
    Int(sha256.prefix(8), radix: 16) ?? 0
  }

  /// The number that augmentation draws by for a photo outside of a manifest.
  package static func drawNumber(ofContents bytes: [UInt8]) -> Int {
    drawNumber(sha256: SHA256.hexadecimal(of: bytes))
  }
}
