// SPDX-License-Identifier: Apache-2.0

import Testing
import ThawImages

/// WebP, GIF, BMP, TIFF, HEIC and AVIF: pixels against Pillow's, and damage.
@Suite struct OtherFormatTests {
  static let files = ["webp", "gif", "bmp", "tif", "heic", "avif"].flatMap { kind in
    ((try? ImageFixtures.names(in: "formats", suffix: "." + kind)) ?? []).map { "\($0).\(kind)" }
  }

  @Test func thereAreFilesOfEveryFormat() {
    #expect(OtherFormatTests.files.count == 60)
  }

  @Test(arguments: files)
  func pixelsArePillows(_ name: String) throws {
    let expected = try ImageFixtures.image("formats/\(name).png")
    let decoded = try ImageDecoder.decode(ImageFixtures.bytes("formats/\(name)"))
    // Other versions of libheif round colours otherwise; grey of video's range Pillow computes in floating-point
    // numbers.
    let tolerance = name.hasSuffix(".heic") ? 2 : name == "video-grey.avif" ? 1 : 0
    #expect(largestDifference(decoded.image, expected) <= tolerance)
    #expect(decoded.warnings.count == 0, "\(decoded.warnings)")
    let probe = try ImageDecoder.probe(ImageFixtures.bytes("formats/\(name)"))
    #expect(probe.size == expected.size && probe.format == decoded.format)
  }

  @Test func theContentDecidesNotTheName() throws {
    let formats: [(String, ImageFormat)] = [
      ("lossy.webp", .webp), ("plain.gif", .gif), ("rgb24.bmp", .bmp), ("strips.tif", .tiff),
      ("photo.heic", .heic), ("photo.avif", .avif),
    ]
    for (name, format) in formats {
      #expect(try ImageDecoder.decode(ImageFixtures.bytes("formats/\(name)")).format == format)
    }
  }

  @Test(arguments: files)
  func truncationIsAnErrorOrCostsNoPixel(_ name: String) throws {
    let bytes = try ImageFixtures.bytes("formats/\(name)")
    let whole = try ImageDecoder.decode(bytes).image
    for count in stride(from: 0, to: bytes.count, by: max(bytes.count / 300, 1)) {
      do throws(ImageError) {
        let decoded = try ImageDecoder.decode(Array(bytes[..<count]))
        #expect(decoded.image == whole, "cut at \(count)")
      } catch {
        #expect(!error.reason.isEmpty)
      }
    }
  }

  /// Every byte changed in turn: an error with a reason, or the same image within the limit each time,
  /// which memory that nobody has written would not be. (libde265 leaves the parts of a picture whose slices
  /// it cannot read as they lay in memory, and says nothing of it: there only the outcome is compared.)
  @Test(arguments: files)
  func damageNeverDoesHarm(_ name: String) throws {
    var bytes = try ImageFixtures.bytes("formats/\(name)")
    let whole = try ImageDecoder.decode(bytes).image
    let options = DecodeOptions(maximumPixels: 1 << 16)
    var (refused, changed) = (0, 0)
    for index in stride(from: 0, to: bytes.count, by: max(bytes.count / 300, 1)) {
      for value in [bytes[index] ^ 0xFF, bytes[index] &+ 16] {
        let old = bytes[index]
        bytes[index] = value
        let (first, second) = (outcome(bytes, options), outcome(bytes, options))
        #expect(
          name.hasSuffix(".heic") ? first.isAlike(second) : first == second,
          "byte \(index) as \(value) is not decoded alike twice")
        switch first {
        case .success(let image):
          #expect(image.width * image.height <= options.maximumPixels)
          changed += image == whole ? 0 : 1
        case .failure(let error):
          #expect(!error.reason.isEmpty)
          refused += 1
        }
        bytes[index] = old
      }
    }
    #expect(refused > 0 && changed + refused > 10, "damage that nothing shows is no damage")
  }

  private func outcome(_ bytes: [UInt8], _ options: DecodeOptions) -> Result<RGBImage, ImageError> {
    do throws(ImageError) {
      return .success(try ImageDecoder.decode(bytes, options: options).image)
    } catch { return .failure(error) }
  }

  @Test func aPhotoOfWhichNothingIsSeenIsAWarningInEveryFormat() throws {
    let names = ["png", "webp", "gif", "tif", "heic", "avif"].map { "clear.\($0)" }
    var photos = try names.map { ($0, try ImageFixtures.bytes("transparent/\($0)")) }
    // The fourth byte of each pixel behind the header.
    var bmp = try ImageFixtures.bytes("formats/alpha.bmp")
    let start = Int(bmp[10]) | Int(bmp[11]) << 8
    for at in stride(from: start + 3, to: bmp.count, by: 4) { bmp[at] = 0 }
    photos.append(("alpha.bmp", bmp))
    for (name, bytes) in photos {
      let decoded = try ImageDecoder.decode(bytes)
      #expect(decoded.warnings.count == 1, "\(name): \(decoded.warnings)")
      #expect(decoded.warnings.first?.hasPrefix("every pixel is transparent") == true, "\(name)")
      #expect(decoded.image.pixels.allSatisfy { $0 == 255 }, "\(name)")
    }
  }

  @Test(arguments: ["lossy.webp", "plain.gif", "rgb24.bmp", "strips.tif", "photo.heic"])
  func aSizeBeyondTheLimitIsRefusedFromTheHeader(_ name: String) throws {
    let error = decodingError(
      try ImageFixtures.bytes("formats/\(name)"), DecodeOptions(maximumPixels: 100))
    guard case .tooLarge = error else {
      Issue.record("expected too large, got \(String(describing: error))")
      return
    }
  }

  @Test func hugeDeclaredSizesTakeNoMemory() throws {
    var bmp = try ImageFixtures.bytes("formats/rgb24.bmp")
    bmp.replaceSubrange(18..<26, with: [0xFF, 0xFF, 0xFF, 0x7F, 0xFF, 0xFF, 0xFF, 0x7F])
    guard case .tooLarge = decodingError(bmp) else {
      Issue.record("expected too large")
      return
    }
  }

  @Test func bytesBehindTheImageAreAWarning() throws {
    let bytes = try ImageFixtures.bytes("formats/lossless.webp")
    let decoded = try ImageDecoder.decode(bytes + [1, 2, 3])
    #expect(
      decoded.warnings == ImageWarnings(count: 1, first: "3 bytes after the end of the image"))
  }

  @Test func rawFilesOfCamerasAreNotTakenForTheirPreviews() throws {
    // The first directory's NewSubfileType comes to say that it is a reduced image.
    let fields: [(UInt8, UInt8)] = [
      (254, 1), (0, 1), (1, 1), (3, 1), (6, 1), (17, 8), (22, 1), (23, 1),
    ]
    var bytes = Array("II*\0".utf8) + [8, 0, 0, 0, UInt8(fields.count), 0]
    for (tag, value) in fields {
      bytes += [tag, tag == 254 ? 0 : 1, 4, 0, 1, 0, 0, 0, value, 0, 0, 0]
    }
    let error = decodingError(bytes + [0, 0, 0, 0])
    #expect(
      error?.reason.contains("raw file is not supported") == true, "\(String(describing: error))")
  }
}

extension Result<RGBImage, ImageError> {
  /// Whether both failed in the same way or gave images of the same size.
  fileprivate func isAlike(_ other: Self) -> Bool {
    switch (self, other) {
    case (.success(let one), .success(let two)): one.size == two.size
    case (.failure(let one), .failure(let two)): one == two
    default: false
    }
  }
}
