// SPDX-License-Identifier: Apache-2.0

import Testing
import ThawImages

@Suite struct JPEGDamageTests {
  @Test(arguments: ["baseline-420", "progressive-444", "restart", "ycck-420", "orientation-6"])
  func truncationAnywhereIsAnErrorOrCostsNoPixel(_ name: String) throws {
    let bytes = try ImageFixtures.bytes("jpeg/\(name).jpg")
    let whole = try ImageDecoder.decode(bytes)
    for count in 0..<bytes.count {
      do throws(ImageError) {
        let decoded = try ImageDecoder.decode(Array(bytes[..<count]))
        #expect(decoded.image == whole.image, "\(name) cut at \(count) lost pixels silently")
        #expect(decoded.warnings.count == 1 && count > bytes.count - 12)
      } catch {
        #expect(count < bytes.count - 2, "\(name) cut at \(count): \(error)")
        if count > 2 { #expect(error.reason.hasPrefix("truncated JPEG"), "\(count): \(error)") }
      }
    }
  }

  @Test func truncationSaysWhereTheDataEnds() throws {
    let bytes = try ImageFixtures.bytes("jpeg/baseline-420.jpg")
    let half = bytes.count / 2 + 100
    #expect(
      decodingError(Array(bytes[..<half]))?.reason
        == "truncated JPEG, data ends after \(half) bytes")
    #expect(
      decodingError(Array(bytes[..<20]))?.reason
        == "truncated JPEG, no frame header, data ends after 20 bytes")
    let strict = DecodeOptions(allowsMissingEnd: false)
    #expect(decodingError(bytes, strict) == nil)
    #expect(
      decodingError(Array(bytes.dropLast(2)), strict)?.reason
        == "truncated JPEG, data ends after \(bytes.count - 2) bytes")
  }

  @Test(arguments: ["tiny-9", "grey-progressive", "orientation-5"])
  func anyFlippedBitGivesAnImageOrATypedError(_ name: String) throws {
    var bytes = try ImageFixtures.bytes("jpeg/\(name).jpg")
    let options = DecodeOptions(maximumPixels: 1_000_000)
    var (images, errors) = (0, 0)
    for bit in 0..<(bytes.count * 8) {
      bytes[bit / 8] ^= 1 << (bit % 8)
      do throws(ImageError) {
        let decoded = try ImageDecoder.decode(bytes, options: options)
        #expect(decoded.image.pixels.count == decoded.image.width * decoded.image.height * 3)
        images += 1
      } catch {
        #expect(!error.reason.isEmpty)
        errors += 1
      }
      bytes[bit / 8] ^= 1 << (bit % 8)
    }
    #expect(images > 0 && errors > 0, "\(images) images, \(errors) errors")
  }

  @Test func hugeHeaderIsRefusedBeforeMemoryIsTaken() throws {
    // Read at an eighth of its size a photo may have 64 times as many pixels as memory is taken for.
    for (side, maximum) in [(65_535, 60_000_000), (25_500, 10_000_000)] {
      let bytes = try resized("baseline-420", width: side, height: side)
      let options = DecodeOptions(maximumPixels: maximum)
      let reason = try #require(decodingError(bytes, options)?.reason)
      #expect(reason == "\(side) x \(side) pixels is more than the limit of \(maximum) pixels")
      #expect(throws: ImageError.self) { try ImageDecoder.probe(bytes, options: options) }
    }
    let empty = try resized("baseline-420", width: 0, height: 29)
    #expect(decodingError(empty)?.reason.contains("0 x 29") == true)
    let options = DecodeOptions(maximumPixels: 43 * 29 / 64)
    #expect(decodingError(try ImageFixtures.bytes("jpeg/baseline-420.jpg"), options) != nil)
  }

  @Test func junkBetweenAndAfterMarkersIsCountedAndCostsNothing() throws {
    let bytes = try ImageFixtures.bytes("jpeg/baseline-420.jpg")
    let whole = try ImageDecoder.decode(bytes).image
    let before =
      Array(bytes.dropLast(2)) + [UInt8](repeating: 7, count: 40) + Array(bytes.suffix(2))
    let extraneous = try ImageDecoder.decode(before)
    #expect(extraneous.image == whole && extraneous.warnings.count == 1)
    #expect(extraneous.warnings.first?.hasSuffix("extraneous bytes before marker 0xd9") == true)
    let after = try ImageDecoder.decode(bytes + Array("PK\u{3}\u{4}".utf8))
    #expect(after.image == whole)
    #expect(after.warnings.first == "4 bytes after the end of the image")
  }

  @Test func endlessScansAreRefused() throws {
    let bytes = try ImageFixtures.bytes("jpeg/grey-progressive.jpg")
    // The first scan holds the DC coefficients and may be repeated without harm.
    let start = try #require(bytes.indices.first { isMarker(bytes, at: $0, 0xDA) })
    let end = try #require(
      (start + 2..<bytes.count).first { bytes[$0] == 0xFF && bytes[$0 + 1] != 0 })
    let many = { (count: Int) in
      bytes[..<end] + (0..<count).flatMap { _ in bytes[start..<end] } + bytes[end...]
    }
    #expect(decodingError(Array(many(600))) == .tooManyScans(maximum: 500))
    #expect(decodingError(Array(many(20))) == nil)
  }

  @Test func variantsThatCannotBeDecodedAreNamed() throws {
    var lossless = try ImageFixtures.bytes("jpeg/baseline-420.jpg")
    let frame = try #require(frameIndex(lossless))
    lossless[frame + 1] = 0xC3
    #expect(decodingError(lossless)?.reason == "lossless JPEG is not supported")
    var twelve = try ImageFixtures.bytes("jpeg/baseline-420.jpg")
    twelve[frame + 4] = 12
    #expect(decodingError(twelve)?.reason == "12-bit JPEG is not supported")
  }

  @Test func fewBytesSayWhatIsMissing() {
    #expect(decodingError([]) == .empty)
    #expect(decodingError([0xFF, 0xD8, 0xFF, 0xD9])?.reason.contains("no image") == true)
  }

  @Test func brokenEXIFCountsAsUprightWithAWarning() throws {
    let original = try ImageFixtures.bytes("jpeg/orientation-6.jpg")
    // "Exif\0\0", then a big-endian TIFF header at `tiff`, IFD0 at 8, the entry of 12 bytes at 10.
    let tiff = try #require(
      original.indices.first { original[$0...].starts(with: Array("MM".utf8)) })
    let stored = PixelSize(width: 13, height: 6)
    let damages: [(Int, UInt8)] = [
      (4, 0xFF), (7, 0xF0), (13, 4), (17, 2), (19, 0), (19, 9), (18, 0xFF), (0, 0x58),
      (3, 0),
    ]
    for (offset, value) in damages {
      var bytes = original
      bytes[tiff + offset] = value
      let probe = try ImageDecoder.probe(bytes)
      #expect(probe.orientation == .upright && probe.size == stored, "byte \(offset) = \(value)")
      #expect(probe.warnings.count == 1, "byte \(offset) = \(value)")
    }
    // A directory that claims 65 281 entries still has a good first one.
    var long = original
    long[tiff + 8] = 0xFF
    #expect(try ImageDecoder.probe(long).orientation == .rotatedClockwise)
  }

  private func isMarker(_ bytes: [UInt8], at index: Int, _ code: UInt8) -> Bool {
    index + 1 < bytes.count && bytes[index] == 0xFF && bytes[index + 1] == code
  }

  private func frameIndex(_ bytes: [UInt8]) -> Int? {
    bytes.indices.dropLast().first { bytes[$0] == 0xFF && (0xC0...0xC2).contains(bytes[$0 + 1]) }
  }

  private func resized(_ name: String, width: Int, height: Int) throws -> [UInt8] {
    var bytes = try ImageFixtures.bytes("jpeg/\(name).jpg")
    let frame = try #require(frameIndex(bytes))
    bytes[frame + 5] = UInt8(height >> 8)
    bytes[frame + 6] = UInt8(height & 255)
    bytes[frame + 7] = UInt8(width >> 8)
    bytes[frame + 8] = UInt8(width & 255)
    return bytes
  }
}
