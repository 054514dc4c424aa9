// SPDX-License-Identifier: Apache-2.0

import Testing
import ThawImages

@Suite struct JPEGDecodingTests {
  // Measured on the versions at hand: 0 levels for every file.
  @Test func everyVariantMatchesPillowWithinTwoLevels() throws {
    let names = try ImageFixtures.names(in: "jpeg", suffix: ".jpg")
    #expect(names.count >= 30)
    for name in names {
      let decoded = try ImageDecoder.decode(try ImageFixtures.bytes("jpeg/\(name).jpg"))
      let expected = try ImageFixtures.image("jpeg/\(name).png")
      #expect(largestDifference(decoded.image, expected) <= 2, "\(name)")
      let guess = "CMYK without Adobe's marker, taken as inverted as Adobe stores it"
      let isGuessed = name.hasPrefix("cmyk") && decoded.warnings.first == guess
      #expect(decoded.warnings.count == (isGuessed ? 1 : 0), "\(name): \(decoded.warnings)")
      #expect(decoded.format == .jpeg && decoded.originalSize == expected.size)
    }
  }

  @Test(arguments: ImageOrientation.allCases)
  func orientationIsReadAndApplied(_ orientation: ImageOrientation) throws {
    let bytes = try ImageFixtures.bytes("jpeg/orientation-\(orientation.rawValue).jpg")
    let probe = try ImageDecoder.probe(bytes)
    #expect(probe.orientation == orientation)
    #expect(
      probe.size
        == (orientation.swapsSides
          ? PixelSize(width: 6, height: 13) : PixelSize(width: 13, height: 6)))
    #expect(try ImageDecoder.decode(bytes).orientation == orientation)
  }

  @Test func greyHasThreeEqualChannels() throws {
    let image = try ImageFixtures.image("jpeg/grey.jpg")
    for index in stride(from: 0, to: image.pixels.count, by: 3) {
      #expect(image.pixels[index] == image.pixels[index + 1])
      #expect(image.pixels[index] == image.pixels[index + 2])
    }
  }

  @Test func probeReportsWhatIsStored() throws {
    let cmyk = try ImageDecoder.probe(try ImageFixtures.bytes("jpeg/cmyk-adobe.jpg"))
    #expect(cmyk.channels == 4 && cmyk.bitsPerChannel == 8 && !cmyk.isProgressive)
    #expect(cmyk.size == PixelSize(width: 43, height: 29))
    let progressive = try ImageDecoder.probe(try ImageFixtures.bytes("jpeg/progressive-420.jpg"))
    #expect(progressive.channels == 3 && progressive.isProgressive && !progressive.hasAlpha)
  }

  @Test(arguments: [(40, 30, 1), (22, 15, 2), (21, 14, 2), (11, 8, 4), (6, 4, 8), (1, 1, 8)])
  func scaledDecodingStaysAtLeastAsLargeAsAsked(_ width: Int, _ height: Int, _ scale: Int) throws {
    let bytes = try ImageFixtures.bytes("jpeg/baseline-444.jpg")
    let full = try ImageDecoder.decode(bytes)
    let options = DecodeOptions(minimumSize: PixelSize(width: width, height: height))
    let decoded = try ImageDecoder.decode(bytes, options: options)
    #expect(decoded.scaleDenominator == scale)
    #expect(decoded.image.width == (43 + scale - 1) / scale)
    #expect(decoded.image.height == (29 + scale - 1) / scale)
    #expect(decoded.originalSize == full.image.size)
    #expect(decoded.coveredBox.right == 43 / Double(scale))
    let average = { (image: RGBImage) in
      image.pixels.reduce(0) { $0 + Double($1) } / Double(image.pixels.count)
    }
    #expect(abs(average(decoded.image) - average(full.image)) < 8)
  }

  @Test func scaledDecodingCountsSidesAfterTheTurn() throws {
    let bytes = try ImageFixtures.bytes("jpeg/orientation-6.jpg")  // 13 x 6 stored, 6 x 13 upright
    let wide = DecodeOptions(minimumSize: PixelSize(width: 7, height: 3))
    #expect(try ImageDecoder.decode(bytes, options: wide).scaleDenominator == 1)
    let tall = DecodeOptions(minimumSize: PixelSize(width: 3, height: 7))
    let decoded = try ImageDecoder.decode(bytes, options: tall)
    #expect(decoded.scaleDenominator == 2)
    #expect(decoded.image.size == PixelSize(width: 3, height: 7))
  }

  @Test func aPhotoBeyondTheLimitIsReadAtAFractionOfItsSize() throws {
    let image = ImageFixtures.pattern(64, 48)
    let bytes = try JPEGEncoder.encode(image)
    let options = DecodeOptions(maximumPixels: 1000)
    let decoded = try ImageDecoder.decode(bytes, options: options)
    #expect(decoded.scaleDenominator == 2 && decoded.image.size == PixelSize(width: 32, height: 24))
    #expect(decoded.originalSize == image.size && decoded.warnings.count == 1)
    #expect(decoded.warnings.first == "64 x 48 pixels, read at 1/2 of its size to spare memory")
    #expect(decodingError(bytes, DecodeOptions(maximumPixels: 40)) != nil)
  }
}
