// SPDX-License-Identifier: Apache-2.0

import SystemPackage
import Testing
import ThawDatasets
import ThawFiles
import ThawImages
import ThawTestSupport

@Suite struct DecodingVerifierTests {
  private func picture(_ width: Int, _ height: Int) -> RGBImage {
    RGBImage(size: PixelSize(width: width, height: height)) { pixels in
      for index in pixels.indices { pixels[index] = UInt8(truncatingIfNeeded: index * index / 7) }
    }
  }

  private func verify(_ bytes: [UInt8]) throws -> VerifiedImage {
    try bytes.withUnsafeBytes { try DecodingVerifier().verify($0) }
  }

  @Test func photosAreMeasuredByContent() throws {
    let jpeg = try JPEGEncoder.encode(picture(40, 30), quality: 90)
    func expected(_ bytes: [UInt8], _ width: Int, _ height: Int, _ format: String) throws
      -> VerifiedImage
    {
      let image = try ImageDecoder.decode(bytes).image
      return VerifiedImage(
        width: width, height: height, format: format, thumbnail: PhotoThumbnail(image),
        detail: image.detail.map { Int($0 * 1000) })
    }
    #expect(try verify(jpeg) == expected(jpeg, 40, 30, "JPEG"))
    let png = try PNGEncoder.encode(picture(7, 9))
    #expect(try verify(png) == expected(png, 7, 9, "PNG"))
    #expect(try verify(jpeg + [1, 2, 3]).width == 40)
  }

  @Test func damageAnywhereIsFoundAlthoughNotAllPixelsAreComputed() throws {
    let jpeg = try JPEGEncoder.encode(picture(320, 240), quality: 90)
    for part in [0.2, 0.5, 0.9] {
      let cut = Array(jpeg.prefix(Int(Double(jpeg.count) * part)))
      let error = #expect(throws: (any Error).self) { try verify(cut) }
      #expect(error.map { "\($0)".contains("truncated JPEG") } == true)
    }
    #expect(throws: (any Error).self) { try verify(Array("<!DOCTYPE html>".utf8)) }
  }

  @Test func aMisnamedPhotoIsUsedAndNoted() throws {
    let data = try PhotoFolder()
    for name in ["a", "b"] {
      try data.add(BytePath("\(name)/1.jpg"), PNGEncoder.encode(picture(3, name == "a" ? 4 : 5)))
      try data.add(BytePath("\(name)/2.png"), PNGEncoder.encode(picture(5, name == "a" ? 4 : 5)))
    }
    let verification = try DatasetVerification.run(
      data.scan(), with: DecodingVerifier(), options: .init(threads: 2))
    let manifest = try ManifestBuilder().build(verification)
    #expect(manifest.records.map(\.width) == [3, 5, 3, 5])
    #expect(
      manifest.warnings
        == ["2 files named for another format: a/1.jpg is PNG, b/1.jpg is PNG"])
  }
}
