// SPDX-License-Identifier: Apache-2.0

import Testing
import ThawImages

/// Bytes that are overwritten between a look at their header and the decoding, as those of a mapped
/// file can be.
struct ChangedImageTests {
  private func image(_ side: Int) -> RGBImage {
    RGBImage(size: PixelSize(width: side, height: side), filledWith: .white)
  }

  private func expectChanged(
    _ before: [UInt8], _ after: [UInt8], _ format: ImageFormat,
    sourceLocation: SourceLocation = #_sourceLocation
  ) throws {
    let probe = try ImageDecoder.probe(before)
    let error = #expect(throws: ImageError.self, sourceLocation: sourceLocation) {
      try after.withUnsafeBytes { try ImageDecoder.decode($0, probed: probe) }
    }
    guard case .changedMeanwhile(let found, _) = error else {
      Issue.record("\(String(describing: error))", sourceLocation: sourceLocation)
      return
    }
    #expect(found == format, sourceLocation: sourceLocation)
  }

  @Test func anImageOfAnotherSizeIsAnErrorAndNoTrap() throws {
    try expectChanged(
      PNGEncoder.encode(image(8)), PNGEncoder.encode(image(9)), .png)
    try expectChanged(
      JPEGEncoder.encode(image(16)), JPEGEncoder.encode(image(8)), .jpeg)
  }
}
