// SPDX-License-Identifier: Apache-2.0

import Testing
import ThawDatasets
import ThawFiles
import ThawImages

/// What a look at the photos finds before anything is trained.
@Suite struct DataLookTests {
  private func photo(
    _ number: Int, width: Int = 40, height: Int = 30, grey: Bool = false, level: Int? = nil
  ) -> RGBImage {
    RGBImage(size: PixelSize(width: width, height: height)) { samples in
      for index in samples.indices {
        let (pixel, channel) = (index / 3, index % 3)
        let wave = (pixel % width * (number + 3) + pixel / width * 7) % 160
        samples[index] = UInt8(level ?? (grey ? wave + 40 : (wave + channel * 45)))
      }
    }
  }

  private func look(
    _ photos: [(String, [RGBImage], isPNG: Bool)], weighsClasses: Bool = false
  ) throws -> DataLook {
    let data = try PhotoFolder()
    for (name, images, isPNG) in photos {
      for (number, image) in images.enumerated() {
        let bytes = try isPNG ? PNGEncoder.encode(image) : JPEGEncoder.encode(image)
        try data.add(BytePath("\(name)/\(number).jpg"), bytes)
      }
    }
    return DataLook(
      try DatasetVerification.run(
        data.scan(), with: DecodingVerifier(), options: .init(threads: 2)),
      weighsClasses: weighsClasses)
  }

  private func kinds(_ look: DataLook) -> [DataLook.Finding.Kind] { look.findings.map(\.kind) }

  @Test func ordinaryPhotosGiveNoRemark() throws {
    let look = try look(["a", "b"].map { ($0, (0..<10).map { photo($0) }, isPNG: true) })
    #expect(kinds(look) == [])
    #expect(look.classes.map(\.count) == [10, 10] && look.classes[0].formats == ["PNG": 10])
    #expect(look.classes[0].medianWidth == 40 && look.classes[0].medianHeight == 30)
  }

  @Test func blankDarkAndGreyPhotosAreNamed() throws {
    let odd = [photo(1, level: 255), photo(2, level: 0), photo(3, grey: true)]
    let look = try look([
      ("a", (0..<10).map { photo($0) } + odd, isPNG: true),
      ("b", (0..<10).map { photo($0) }, isPNG: true),
    ])
    #expect(kinds(look) == [.blank, .greyscale])
    #expect(look.findings[0].count == 2 && look.findings[0].examples == ["a/10.jpg", "a/11.jpg"])
  }

  @Test func aClassOfAnotherSizeOrFormatIsAShortcut() throws {
    let look = try look([
      ("a", (0..<10).map { photo($0) }, isPNG: true),
      ("b", (0..<10).map { photo($0, width: 64, height: 48) }, isPNG: false),
    ])
    #expect(kinds(look) == [.shortcut, .shortcut, .shortcut, .shortcut])
    #expect(
      look.findings[0].text.contains("the size gives class 'a' away: 40 x 30 in 10 of its 10"))
  }

  @Test func imbalanceNamesTheRemedy() throws {
    func photos(_ count: Int) -> [(String, [RGBImage], isPNG: Bool)] {
      [
        ("a", (0..<count).map { photo($0) }, isPNG: true),
        ("b", (0..<4).map { photo($0) }, isPNG: true),
      ]
    }
    #expect(kinds(try look(photos(11))) == [])
    let look = try look(photos(12))
    #expect(kinds(look) == [.imbalance])
    #expect(look.findings[0].text.contains("--class-weights balanced"))
    let weighed = try self.look(photos(12), weighsClasses: true).findings[0].text
    #expect(!weighed.contains("--class-weights") && weighed.contains("go by macro F1"))
  }
}
