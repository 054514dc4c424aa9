// SPDX-License-Identifier: Apache-2.0

/// What an archive may become at most; generous against real ones, small against memory.
package enum ArchiveLimits {
  /// Bytes that a file of `count` bytes may become when it is decompressed.
  package static func decompressed(from count: Int) -> Int {
    let (product, overflow) = count.multipliedReportingOverflow(by: 32)
    return overflow ? .max : min(product, .max - 1 << 28) + 1 << 28
  }

  /// The same for photos without compression of their own, scans of blank pages among them.
  package static func decompressedPhotos(from count: Int) -> Int {
    let (product, overflow) = count.multipliedReportingOverflow(by: 100)
    return overflow ? .max : min(product, .max - 1 << 30) + 1 << 30
  }
}
