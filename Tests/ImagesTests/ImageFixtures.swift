// SPDX-License-Identifier: Apache-2.0

import Foundation
import Testing
import ThawImages

/// Files of `Fixtures`, made by `Tools/make_image_fixtures.py`.
enum ImageFixtures {
  static func bytes(_ path: String) throws -> [UInt8] {
    let folder = try #require(Bundle.module.resourceURL)
    return [UInt8](try Data(contentsOf: folder.appending(path: "Fixtures/\(path)")))
  }

  static func image(_ path: String) throws -> RGBImage {
    try ImageDecoder.decode(try bytes(path)).image
  }

  /// Names without extension of the files in a folder that end in `suffix`.
  static func names(in folder: String, suffix: String) throws -> [String] {
    let root = try #require(Bundle.module.resourceURL).appending(path: "Fixtures/\(folder)")
    return try FileManager.default.contentsOfDirectory(atPath: root.path)
      .filter { $0.hasSuffix(suffix) }.map { String($0.dropLast(suffix.count)) }.sorted()
  }

  /// The test pattern of `Tools/make_image_fixtures.py`: no smoothness, every level.
  static func pattern(_ width: Int, _ height: Int) -> RGBImage {
    RGBImage(size: PixelSize(width: width, height: height)) { pixels in
      for index in 0..<pixels.count {
        let (c, x, y) = (index % 3, index / 3 % width, index / 3 / width)
        pixels[index] = UInt8((x * 37 + y * 91 + c * 53 + x * y * (c + 3)) % 256)
      }
    }
  }
}

/// The largest difference of two images in levels; the test fails when their sizes differ.
func largestDifference(_ left: RGBImage, _ right: RGBImage) -> Int {
  #expect(left.size == right.size)
  guard left.size == right.size else { return .max }
  return zip(left.pixels, right.pixels).reduce(0) { max($0, abs(Int($1.0) - Int($1.1))) }
}

/// The error of decoding, or nil when it works.
func decodingError(_ bytes: [UInt8], _ options: DecodeOptions = DecodeOptions()) -> ImageError? {
  do throws(ImageError) {
    _ = try ImageDecoder.decode(bytes, options: options)
    return nil
  } catch { return error }
}
