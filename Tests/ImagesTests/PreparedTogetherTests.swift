// SPDX-License-Identifier: Apache-2.0

import Testing
import ThawImages

@Suite struct PreparedTogetherTests {
  /// Large enough that a JPEG is decoded at half its size.
  private let photo: [UInt8]
  private let contract = Preprocessing.torch(inputSize: 32)

  init() throws {
    let size = PixelSize(width: 640, height: 480)
    var pixels: [UInt8] = []
    for y in 0..<size.height {
      for x in 0..<size.width {
        pixels += [UInt8(x * y % 251), UInt8(x % 256), UInt8(y % 256)]
      }
    }
    photo = try JPEGEncoder.encode(RGBImage(size: size, pixels: pixels))
  }

  @Test func aViewsPixelsDoNotDependOnTheOthers() throws {
    let zoomed = View.crop(.topLeft, flipped: false, zoom: 9)
    let alone = try prepared([.plain(.center)])
    let together = try prepared([
      .plain(zoomed), .plain(.center),
      .augmented(AugmentedView(.photo, seed: 1, number: 0)),
      .corner(.topLeft, flipped: true, zoom: 2, colors: nil),
    ])
    #expect(alone == Array(together[alone.count..<(2 * alone.count)]))
  }

  @Test func thePlainCallAgreesWithTheOneForTestTimeViews() throws {
    var plain = [Float](repeating: 0, count: contract.elementCount)
    try photo.withUnsafeBytes { bytes in
      try plain.withUnsafeMutableBufferPointer { _ = try contract.prepare(bytes, into: $0) }
    }
    #expect(try prepared([.plain(.center)]) == plain)
  }

  private func prepared(_ views: [TestTimeView]) throws -> [Float] {
    var output = [Float](repeating: 0, count: views.count * contract.elementCount)
    try photo.withUnsafeBytes { bytes in
      try output.withUnsafeMutableBufferPointer {
        _ = try contract.prepare(bytes, testTimeViews: views, sample: 3, into: $0)
      }
    }
    return output
  }
}
