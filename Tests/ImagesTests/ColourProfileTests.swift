// SPDX-License-Identifier: Apache-2.0

import Testing
import ThawImages

/// Embedded colour profiles against Pillow's ImageCms, and 16-bit samples that are spread.
@Suite struct ColourProfileTests {
  /// Made by `Tools/make_profile_fixtures.py`.
  static let files = [
    "p3.jpg", "adobe.png", "p3.webp", "adobe.tif", "p3.heic", "p3.avif", "grey.jpg", "grey.png",
    "inks.jpg", "inks.tif", "srgb.jpg",
  ]

  private var converting: DecodeOptions {
    var options = DecodeOptions()
    options.convertsProfiles = true
    return options
  }

  @Test(arguments: files)
  func coloursAreThoseOfImageCms(_ name: String) throws {
    let bytes = try ImageFixtures.bytes("profiles/\(name)")
    let expected = try ImageFixtures.image("profiles/\(name).png")
    let decoded = try ImageDecoder.decode(bytes, options: converting)
    #expect(largestDifference(decoded.image, expected) <= 2)
    #expect(decoded.warnings.count == 0, "\(decoded.warnings)")
    // By option only, and a profile of sRGB is none.
    let plain = try ImageDecoder.decode(bytes).image
    let change = largestDifference(plain, expected)
    #expect(name == "srgb.jpg" ? plain == decoded.image : change > 8, "\(change)")
  }

  @Test func aPhotoAtAFractionOfItsSizeIsConvertedToo() throws {
    let image = ImageFixtures.pattern(1, 1).resized(
      to: PixelSize(width: 400, height: 300), interpolation: .nearest)
    let plain = try JPEGEncoder.encode(image, quality: 95)
    let bytes = Array(plain[..<2]) + profileSegments(try p3()) + Array(plain[2...])
    var options = converting
    let whole = try ImageDecoder.decode(bytes, options: options).image
    options.minimumSize = PixelSize(width: 40, height: 30)
    let small = try ImageDecoder.decode(bytes, options: options)
    #expect(small.scaleDenominator == 8 && small.image[3, 3] == whole[100, 100])
    #expect(whole[100, 100] != (try ImageDecoder.decode(plain).image[100, 100]))
  }

  /// The profile of a fixture.
  private func p3() throws -> [UInt8] {
    let bytes = try ImageFixtures.bytes("profiles/p3.jpg")
    let start = try #require(bytes.firstRange(of: Array("ICC_PROFILE\0".utf8))).upperBound + 2
    let size = bytes[start..<(start + 4)].reduce(0) { $0 << 8 | Int($1) }
    return Array(bytes[start..<(start + size)])
  }

  /// APP2 segments of at most 200 bytes of profile.
  private func profileSegments(_ profile: [UInt8]) -> [UInt8] {
    let count = (profile.count + 199) / 200
    var segments: [UInt8] = []
    for index in (0..<count).reversed() {
      let piece = profile[(200 * index)..<min(200 * index + 200, profile.count)]
      let size = piece.count + 16
      segments += [0xFF, 0xE2, UInt8(size >> 8), UInt8(size & 255)]
      segments += Array("ICC_PROFILE\0".utf8)
      segments += [UInt8(index + 1), UInt8(count)]
      segments += piece
    }
    return segments
  }

  @Test func aDamagedProfileIsIgnoredWithAWarning() throws {
    let plain = try ImageFixtures.bytes("jpeg/baseline-444.jpg")
    let pixels = try ImageDecoder.decode(plain).image
    var damaged = try p3()
    damaged[16] = 0x58  // the colour space
    let pieces = profileSegments(try p3())
    for profile in [profileSegments(damaged), Array(pieces.dropLast(218))] {
      let bytes = Array(plain[..<2]) + profile + Array(plain[2...])
      let decoded = try ImageDecoder.decode(bytes, options: converting)
      #expect(decoded.image == pixels && decoded.warnings.count == 1, "\(decoded.warnings)")
      #expect(decoded.warnings.first?.contains("profile") == true)
    }
  }

  @Test(arguments: files)
  func damageOfProfilesNeverDoesHarm(_ name: String) throws {
    var bytes = try ImageFixtures.bytes("profiles/\(name)")
    for index in stride(from: 2, to: min(bytes.count, 900), by: 3) {
      let old = bytes[index]
      for value in [old ^ 0xFF, old &+ 1] {
        bytes[index] = value
        let (first, second) = (outcome(bytes), outcome(bytes))
        // What libde265 makes of damaged slices is chance.
        if !name.hasSuffix(".heic") { #expect(first == second, "byte \(index)") }
      }
      bytes[index] = old
    }
  }

  private func outcome(_ bytes: [UInt8]) -> Result<RGBImage, ImageError> {
    do throws(ImageError) {
      return .success(try ImageDecoder.decode(bytes, options: converting).image)
    } catch { return .failure(error) }
  }

  @Test func theContractKeepsWhatIsChosenAndSaysNothingOfTheRest() throws {
    let plain = Preprocessing.torch()
    #expect(!plain.json.contains("color_profiles") && !plain.json.contains("max_pixels"))
    var reading = PixelReading()
    reading.convertsProfiles = true
    reading.stretchesSixteenBits = true
    reading.maximumPixels = 200_000_000
    let contract = plain.with(reading)
    #expect(contract.json.contains(#""color_profiles":"srgb""#))
    #expect(try Preprocessing(json: contract.json) == contract && contract != plain)
    #expect(contract.withInputSize(64).reading == reading)
    #expect(contract.withSwappedChannels.reading == reading)
    #expect(contract.withGeometry(cropFraction: 1).withValues(of: .tf()).reading == reading)
    #expect(contract.decodeOptions.maximumPixels == 200_000_000)
    #expect(contract.decodeOptions.convertsProfiles)
    let other = contract.json.replacing("srgb", with: "p3")
    #expect(throws: DecodingError.self) { try Preprocessing(json: other) }
  }

  @Test(arguments: [(255, 0), (1023, 2), (4095, 4), (16383, 6), (65535, 8)])
  func sixteenBitsAreSpreadWhenAskedFor(top: Int, shift: Int) throws {
    var options = DecodeOptions()
    options.stretchesSixteenBits = true
    for colorType in [0, 2, 4, 6] {
      for interlaced in [false, true] {
        let writer = PNGWriter(
          width: 7, height: 5, depth: 16, colorType: colorType, interlaced: interlaced,
          samples: { x, y in
            let count = colorType & 2 == 2 ? 3 : 1
            var samples = (0..<count).map { channel in top * ((x + y + channel) % 5) / 4 }
            if colorType & 4 == 4 { samples.append(65535) }
            return samples
          })
        let decoded = try ImageDecoder.decode(writer.encoded(), options: options)
        #expect(decoded.warnings.count == 0)
        for (index, sample) in decoded.image.pixels.enumerated() {
          let (x, y, channel) = (index / 3 % 7, index / 21, colorType & 2 == 2 ? index % 3 : 0)
          #expect(Int(sample) == (top * ((x + y + channel) % 5) / 4) >> shift)
        }
      }
    }
  }

  @Test func sixteenBitTIFFsAreSpreadToo() throws {
    // Grey, 16 bits, one strip of 4 x 1 behind the directory.
    let fields: [(UInt8, UInt8)] = [
      (0, 4), (1, 1), (2, 16), (3, 1), (6, 1), (17, 0), (22, 1), (23, 8),
    ]
    let start = 8 + 2 + fields.count * 12 + 4
    var bytes = Array("II*\0".utf8) + [8, 0, 0, 0, UInt8(fields.count), 0]
    for (tag, value) in fields {
      bytes += [tag, 1, 4, 0, 1, 0, 0, 0, tag == 17 ? UInt8(start) : value, 0, 0, 0]
    }
    bytes += [0, 0, 0, 0]
    for value in [0, 0x0800, 0x0C00, 0x0FFF] { bytes += [UInt8(value & 255), UInt8(value >> 8)] }
    let dark = try ImageDecoder.decode(bytes)
    #expect(dark.image.pixels.last == 15 && dark.warnings.first?.contains("--sixteen-bit") == true)
    var options = DecodeOptions()
    options.stretchesSixteenBits = true
    let spread = try ImageDecoder.decode(bytes, options: options)
    #expect(
      spread.image.pixels.enumerated().filter { $0.offset % 3 == 0 }.map(\.element) == [
        0, 128, 192, 255,
      ])
    #expect(spread.warnings.count == 0)
  }

  /// The camera as EXIF names it, without what a maker fills up with.
  @Test func camerasAreRead() throws {
    let text = Array("Made by us  \0\0".utf8) + Array("X 100\0".utf8)
    var exif = Array("II*\0".utf8) + [8, 0, 0, 0, 2, 0]
    exif += [0x0F, 1, 2, 0, 14, 0, 0, 0, 38, 0, 0, 0]
    exif += [0x10, 1, 2, 0, 6, 0, 0, 0, 52, 0, 0, 0]
    exif += [0, 0, 0, 0]
    exif += text
    let head: [UInt8] = [0xFF, 0xE1, 0, UInt8(exif.count + 8)]
    let segment = head + Array("Exif\0\0".utf8) + exif
    let plain = try JPEGEncoder.encode(ImageFixtures.pattern(20, 16))
    let bytes = Array(plain[..<2]) + segment + Array(plain[2...])
    #expect(try ImageDecoder.probe(bytes).camera == "Made by us X 100")
    #expect(try ImageDecoder.decode(bytes).camera == "Made by us X 100")
    #expect(try ImageDecoder.probe(plain).camera == nil)
  }
}
