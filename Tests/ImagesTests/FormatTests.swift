// SPDX-License-Identifier: Apache-2.0

import Testing
import ThawImages

@Suite struct FormatTests {
  @Test func formatsAreRecognisedByContent() {
    let cases: [(String, ImageFormat, String)] = [
      ("GIF89a......", .gif, "GIF"), ("RIFF\u{1}\u{2}\u{3}\u{4}WEBPVP8 ", .webp, "WebP"),
      ("BM......", .bmp, "BMP"), ("II*\u{0}....", .tiff, "TIFF"),
      ("\u{0}\u{0}\u{0}\u{18}ftypheic....", .heic, "HEIC"),
      ("\u{0}\u{0}\u{0}\u{18}ftypavif....", .avif, "AVIF"),
      ("\u{0}\u{0}\u{0}\u{18}ftypmif1....avif....", .avif, "AVIF"),
      ("\u{0}\u{0}\u{0}\u{18}ftypmif1....heic....", .heic, "HEIC"),
      ("\u{FF}\u{0A}....", .jpegXL, "JPEG XL"), ("%PDF-1.7", .pdf, "PDF"),
    ]
    for (text, format, name) in cases {
      let bytes = text.unicodeScalars.map { UInt8($0.value) }
      #expect(bytes.withUnsafeBytes { ImageFormat.detect($0) } == format)
      #expect(format.description == name)
      #expect(decodingError(bytes) != nil)
    }
  }

  @Test func formatsWithoutADecoderNameTheCommandThatConvertsThem() {
    #expect(
      decodingError([0xFF, 0x0A, 0, 0])?.description
        == "JPEG XL is not supported. Convert it: djxl IN.jxl OUT.png.")
    #expect(
      ImageError.missingLibrary(.heic).description
        == "HEIC is not supported by this build, which was made without libheif-dev. Install the"
        + " package and build again (make), or convert it: heif-convert IN OUT.jpg.")
  }

  @Test func contentDecidesAndUnknownContentIsQuoted() throws {
    #expect(
      decodingError(Array("<!DOCTYPE html>".utf8))?.reason
        == "not an image: unknown format (starts with '<!DOCTYP')")
    #expect(
      decodingError([0, 1, 2])?.description
        == "not an image: unknown format (starts with 00 01 02)."
        + " Remove it or replace it by a JPEG or PNG.")
    #expect(try ImageFixtures.image("jpeg/grey.png").size == PixelSize(width: 43, height: 29))
  }
}

@Suite struct EncoderTests {
  @Test func pngGivesTheSamePixelsBack() throws {
    for (width, height) in [(1, 1), (37, 23), (200, 150)] {
      let image = ImageFixtures.pattern(width, height)
      #expect(try ImageDecoder.decode(try PNGEncoder.encode(image)).image == image)
    }
  }

  @Test func jpegIsCloseAndQualityCosts() throws {
    let image = try ImageFixtures.image("jpeg/baseline-444.png")
    let fine = try JPEGEncoder.encode(image, quality: 98)
    let coarse = try JPEGEncoder.encode(image, quality: 30)
    #expect(coarse.count < fine.count)
    let decoded = try ImageDecoder.decode(fine)
    #expect(decoded.format == .jpeg && decoded.warnings.count == 0)
    let total = zip(decoded.image.pixels, image.pixels).reduce(0) {
      $0 + abs(Int($1.0) - Int($1.1))
    }
    #expect(Double(total) / Double(image.pixels.count) < 8)
  }

  @Test func jpegLargerThanOneBufferIsWhole() throws {
    let image = ImageFixtures.pattern(500, 400)
    let bytes = try JPEGEncoder.encode(image, quality: 100)
    #expect(bytes.count > 200_000)
    #expect(try ImageDecoder.decode(bytes).image.size == image.size)
  }

  @Test func tooLongASideForJPEGIsATypedError() {
    let image = RGBImage(size: PixelSize(width: 65_501, height: 1), filledWith: .black)
    #expect(throws: ImageError.self) { try JPEGEncoder.encode(image) }
    #expect(throws: Never.self) { try PNGEncoder.encode(image) }
  }
}
