// SPDX-License-Identifier: Apache-2.0

import Testing
import ThawImages

@Suite struct PNGDamageTests {
  private func writer(
    width: Int = 9, height: Int = 7, depth: Int = 8, colorType: Int = 2,
    interlaced: Bool = false
  ) -> PNGWriter {
    PNGWriter(
      width: width, height: height, depth: depth, colorType: colorType, interlaced: interlaced,
      samples: { x, y in [x * 20 % 256, y * 30 % 256, (x + y) * 9 % 256] })
  }

  @Test(arguments: [false, true])
  func truncationAnywhereIsAnErrorOrCostsNoPixel(_ interlaced: Bool) throws {
    let bytes = writer(interlaced: interlaced).encoded()
    let whole = try ImageDecoder.decode(bytes).image
    for count in 0..<bytes.count {
      do throws(ImageError) {
        let decoded = try ImageDecoder.decode(Array(bytes[..<count]))
        #expect(decoded.image == whole && decoded.warnings.count == 1, "cut at \(count)")
      } catch {
        #expect(count < bytes.count - 12, "cut at \(count): \(error)")
        if count >= 8 { #expect(error.reason.contains("truncated PNG"), "\(count): \(error)") }
      }
    }
    let strict = DecodeOptions(allowsMissingEnd: false)
    #expect(decodingError(Array(bytes.dropLast(12)), strict) != nil)
  }

  @Test func anyFlippedBitIsFoundOrCostsNoPixel() throws {
    var bytes = writer().encoded()
    let whole = try ImageDecoder.decode(bytes).image
    let options = DecodeOptions(maximumPixels: 1_000_000)
    var errors = 0
    for bit in 0..<(bytes.count * 8) {
      bytes[bit / 8] ^= 1 << (bit % 8)
      do throws(ImageError) {
        #expect(try ImageDecoder.decode(bytes, options: options).image == whole, "bit \(bit)")
      } catch { errors += 1 }
      bytes[bit / 8] ^= 1 << (bit % 8)
    }
    #expect(errors > bytes.count * 8 * 9 / 10)
  }

  @Test func everyFlawIsNamed() {
    let good = writer().encoded()
    var badCRC = good
    badCRC[good.count - 14] ^= 1
    var textMode = good
    textMode.remove(at: 4)
    let cases: [([UInt8], String)] = [
      (writer(depth: 3).encoded(), "invalid bit depth 3 for colour type 2"),
      (writer(depth: 8, colorType: 5).encoded(), "invalid colour type 5"),
      (writer(depth: 16, colorType: 3).encoded(), "invalid bit depth 16 for colour type 3"),
      (badCRC, "CRC"), (textMode, "bad signature"),
      (good.prefix(33) + PNGWriter.chunk("IEND", []), "no image data (IDAT)"),
      (writer(depth: 8, colorType: 3).encoded(), "PLTE"),
    ]
    for (bytes, reason) in cases {
      let found = decodingError(bytes)?.reason ?? "decoded"
      #expect(found.hasPrefix("corrupt PNG: ") && found.contains(reason), "\(found)")
    }
  }

  @Test func wrongStreamChecksumIsAnError() {
    var bytes = writer().encoded()
    // The last four bytes of the IDAT body are its checksum; the chunk's own checksum is redone.
    let end = bytes.count - 12 - 4
    bytes[end - 1] ^= 0xFF
    let start = 8 + 25 + 4
    let crc = PNGWriter.crc(Array(bytes[start..<end]))
    for index in 0..<4 { bytes[end + index] = UInt8(crc >> (24 - 8 * UInt32(index)) & 255) }
    #expect(decodingError(bytes)?.reason.contains("incorrect data check") == true)
  }

  @Test func hugeHeaderIsRefusedBeforeMemoryIsTaken() {
    for (width, height) in [(65_535, 65_535), (1_000_001, 1), (25_500, 25_500), (0x7FFF_FFFF, 1)] {
      var huge = writer(width: 1, height: 1).encoded()
      for (index, value) in [width, height].enumerated() {
        for byte in 0..<4 { huge[16 + index * 4 + byte] = UInt8(value >> (24 - 8 * byte) & 255) }
      }
      let found = decodingError(huge)
      #expect(
        found == .tooLarge(.png, detail: "\(width) x \(height) pixels", maximumPixels: 89_478_485))
    }
    var empty = writer(width: 1, height: 1).encoded()
    empty[19] = 0
    #expect(decodingError(empty)?.reason == "corrupt PNG: the header says 0 x 1 pixels")
  }

  @Test func veryWideAndVeryTallImagesDecode() throws {
    for (width, height) in [(200_000, 1), (1, 70_000)] {
      let bytes = PNGWriter(
        width: width, height: height, depth: 1, colorType: 0, samples: { x, y in [(x + y) & 1] }
      ).encoded()
      let image = try ImageDecoder.decode(bytes).image
      #expect(image.size == PixelSize(width: width, height: height))
      #expect(image.pixels[3] == 255 && image.pixels[6] == 0)
    }
  }

  @Test func bytesAfterTheEndAreCounted() throws {
    let decoded = try ImageDecoder.decode(writer().encoded() + [1, 2, 3])
    #expect(
      decoded.warnings == ImageWarnings(count: 1, first: "3 bytes after the end of the image"))
  }
}
