// SPDX-License-Identifier: Apache-2.0

import Testing
import ThawImages

/// One legal combination of colour type and bit depth.
struct PNGVariant: Sendable, CustomTestStringConvertible {
  let colorType: Int
  let depth: Int
  let interlaced: Bool
  var testDescription: String { "type \(colorType) depth \(depth)\(interlaced ? " Adam7" : "")" }

  static let all: [PNGVariant] = [
    (0, [1, 2, 4, 8, 16]), (2, [8, 16]), (3, [1, 2, 4, 8]), (4, [8, 16]), (6, [8, 16]),
  ].flatMap { type, depths in
    depths.flatMap { depth in
      [false, true].map { PNGVariant(colorType: type, depth: depth, interlaced: $0) }
    }
  }
}

@Suite struct PNGDecodingTests {
  private static let palette: [UInt8] = (0..<768).map { (index: Int) -> UInt8 in
    UInt8((index * 89 + index / 3 * 7) % 256)
  }

  private func writer(
    _ variant: PNGVariant, width: Int = 21, height: Int = 13, opaque: Bool = false
  ) -> PNGWriter {
    let limit = 1 << variant.depth
    var writer = PNGWriter(
      width: width, height: height, depth: variant.depth, colorType: variant.colorType,
      interlaced: variant.interlaced, samples: { _, _ in [] })
    let channels = writer.channels
    writer.samples = { x, y in
      (0..<channels).map { c in
        let isAlpha = c == channels - 1 && (variant.colorType == 4 || variant.colorType == 6)
        return isAlpha && opaque ? limit - 1 : (x * 4_931 + y * 7_919 + c * 12_347) % limit
      }
    }
    if variant.colorType == 3 {
      writer.extraChunks = [("PLTE", Array(Self.palette[..<(3 * limit)]))]
    }
    return writer
  }

  /// What the specification says an opaque pixel is at 8 bits.
  private func expected(_ variant: PNGVariant, _ samples: [Int]) -> [UInt8] {
    if variant.colorType == 3 {
      return Array(Self.palette[(samples[0] * 3)..<(samples[0] * 3 + 3)])
    }
    let levels = samples.map { sample in
      variant.depth == 16 ? UInt8(sample >> 8) : UInt8(sample * 255 / ((1 << variant.depth) - 1))
    }
    return variant.colorType == 0 || variant.colorType == 4
      ? [levels[0], levels[0], levels[0]] : Array(levels[..<3])
  }

  @Test(arguments: PNGVariant.all)
  func opaquePixelsAreExact(_ variant: PNGVariant) throws {
    for (width, height) in [(21, 13), (1, 1), (3, 9), (8, 8)] {
      let writer = writer(variant, width: width, height: height, opaque: true)
      let decoded = try ImageDecoder.decode(writer.encoded())
      let pixels = (0..<height).flatMap { y in
        (0..<width).flatMap { x in expected(variant, writer.samples(x, y)) }
      }
      #expect(decoded.image.pixels == pixels, "\(width) x \(height)")
      #expect(decoded.warnings.count == 0 && decoded.format == .png)
    }
  }

  @Test(arguments: [4, 6], [8, 16])
  func alphaIsCompositedOnTheBackground(_ colorType: Int, _ depth: Int) throws {
    for interlaced in [false, true] {
      let variant = PNGVariant(colorType: colorType, depth: depth, interlaced: interlaced)
      let writer = writer(variant)
      let background = RGBColor(red: 200, green: 30, blue: 90)
      let decoded = try ImageDecoder.decode(
        writer.encoded(), options: DecodeOptions(background: background)
      ).image
      for y in 0..<13 {
        for x in 0..<21 {
          let samples = writer.samples(x, y).map { depth == 16 ? $0 >> 8 : $0 }
          let alpha = Double(samples[samples.count - 1]) / 255
          let color = colorType == 4 ? [samples[0], samples[0], samples[0]] : Array(samples[..<3])
          let mixed = zip(color, [200.0, 30, 90]).map { Double($0) * alpha + $1 * (1 - alpha) }
          let found = decoded[x, y]
          for (value, exact) in zip([found.red, found.green, found.blue], mixed) {
            #expect(abs(Double(value) - exact) <= 0.51, "(\(x), \(y))")
          }
        }
      }
    }
  }

  @Test func compositeEqualsPillowInEverySample() throws {
    let bytes = try ImageFixtures.bytes("alpha/ramp.png")
    for color in [RGBColor.white, RGBColor(red: 10, green: 200, blue: 90)] {
      let decoded = try ImageDecoder.decode(bytes, options: DecodeOptions(background: color))
      let name = "alpha/ramp-on-\(color.red)-\(color.green)-\(color.blue).png"
      #expect(decoded.image == (try ImageFixtures.image(name)))
    }
    #expect(try ImageDecoder.probe(bytes).hasAlpha)
  }

  @Test func transparentColourIsComparedAtFullDepth() throws {
    // 0x1234 is transparent, 0x1235 has the same high byte and is not.
    let writer = PNGWriter(
      width: 2, height: 1, depth: 16, colorType: 0, extraChunks: [("tRNS", [0x12, 0x34])],
      samples: { x, _ in [0x1234 + x] })
    let image = try ImageDecoder.decode(writer.encoded()).image
    #expect(image.pixels == [255, 255, 255, 0x12, 0x12, 0x12])
  }

  @Test func paletteTransparencyIsComposited() throws {
    let writer = PNGWriter(
      width: 3, height: 1, depth: 2, colorType: 3,
      extraChunks: [("PLTE", [10, 20, 30, 40, 50, 60, 70, 80, 90]), ("tRNS", [0, 255])],
      samples: { x, _ in [x] })
    let options = DecodeOptions(background: RGBColor(red: 1, green: 2, blue: 3))
    let image = try ImageDecoder.decode(writer.encoded(), options: options).image
    #expect(image.pixels == [1, 2, 3, 40, 50, 60, 70, 80, 90])
  }

  @Test func gammaAndTextChunksChangeNothing() throws {
    var writer = writer(PNGVariant(colorType: 2, depth: 8, interlaced: false))
    let plain = try ImageDecoder.decode(writer.encoded()).image
    writer.extraChunks = [
      ("gAMA", [0, 0, 0x27, 0x10]), ("tEXt", Array("Comment\0hello".utf8)),
      ("zTXt", Array("Bomb\0\0".utf8) + [UInt8](repeating: 7, count: 100_000)),
    ]
    let decorated = try ImageDecoder.decode(writer.encoded())
    #expect(decorated.image == plain && decorated.warnings.count == 0)
  }

  /// Where other programs put the orientation: text of hexadecimal digits, XMP, a chunk behind the pixels.
  @Test func orientationIsFoundWhereverPillowFindsIt() throws {
    var writer = writer(PNGVariant(colorType: 2, depth: 8, interlaced: false), width: 5, height: 3)
    let plain = try ImageDecoder.decode(writer.encoded()).image
    let entry: [UInt8] = [0x12, 0x01, 3, 0, 1, 0, 0, 0, 8, 0, 0, 0]
    let exif = Array("II*\0".utf8) + [8, 0, 0, 0, 1, 0] + entry + [0, 0, 0, 0]
    let digits = (Array("Exif\0\0".utf8) + exif).map {
      let text = String($0, radix: 16)
      return text.count == 1 ? "0" + text : text
    }.joined()
    let profile = Array("Raw profile type exif\0\nexif\n      32\n\(digits)\n".utf8)
    let xmp = "<rdf:Description tiff:Orientation=\"8\"/>"
    let places: [(String, [UInt8])] = [
      ("tEXt", profile), ("iTXt", Array("XML:com.adobe.xmp\0\0\0\0\0\(xmp)".utf8)),
    ]
    for chunk in places {
      writer.extraChunks = [chunk]
      let turned = try ImageDecoder.decode(writer.encoded()).image
      #expect(turned.size == PixelSize(width: 3, height: 5), "\(chunk.0)")
      #expect(turned[0, 0] == plain[4, 0])
    }
    writer.extraChunks = []
    let bytes = writer.encoded()
    let behind = bytes.dropLast(12) + PNGWriter.chunk("eXIf", exif) + bytes.suffix(12)
    #expect(try ImageDecoder.decode(Array(behind)).image.size == PixelSize(width: 3, height: 5))
    // EXIF that says upright has the last word.
    var upright = exif
    upright[18] = 1
    writer.extraChunks = [("eXIf", upright), places[1]]
    #expect(try ImageDecoder.decode(writer.encoded()).image == plain)
  }

  @Test(arguments: [0, 2, 4, 6])
  func sixteenBitsThatUseTwelveAreAWarning(colorType: Int) throws {
    for (top, isDark) in [(4095, true), (1000, true), (200, true), (65535, false), (5000, false)] {
      for interlaced in [false, true] {
        let writer = PNGWriter(
          width: 7, height: 5, depth: 16, colorType: colorType, interlaced: interlaced,
          samples: { x, _ in
            let channels = [0: 1, 2: 3, 4: 2, 6: 4][colorType] ?? 1
            let samples = colorType == 4 ? [top, 65535] : [top, top / 2, x * 3, 65535]
            return Array(samples.prefix(channels))
          })
        let decoded = try ImageDecoder.decode(writer.encoded())
        #expect((decoded.warnings.count == 1) == isDark, "\(top): \(decoded.warnings)")
      }
    }
  }

  @Test func orientationOfAnEXIFChunkIsApplied() throws {
    var writer = writer(PNGVariant(colorType: 2, depth: 8, interlaced: false), width: 5, height: 3)
    let plain = try ImageDecoder.decode(writer.encoded()).image
    let entry: [UInt8] = [0x12, 0x01, 3, 0, 1, 0, 0, 0, 8, 0, 0, 0]
    writer.extraChunks = [
      ("eXIf", Array("II*\0".utf8) + [8, 0, 0, 0, 1, 0] + entry + [0, 0, 0, 0])
    ]
    let turned = try ImageDecoder.decode(writer.encoded())
    #expect(turned.image.size == PixelSize(width: 3, height: 5))
    #expect(turned.image[0, 0] == plain[4, 0] && turned.image[2, 0] == plain[4, 2])
  }
}
