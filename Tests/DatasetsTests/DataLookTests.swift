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

  /// A scene that is unlike its mirror image: waves on one side, a bright block on the other.
  private func scene(_ number: Int, mirrored: Bool) -> RGBImage {
    RGBImage(size: PixelSize(width: 48, height: 48)) { samples in
      for index in samples.indices {
        let pixel = index / 3
        let (column, y) = (pixel % 48, pixel / 48)
        let x = mirrored ? 47 - column : column
        let isBlock = x < 18 && abs(y - 8 - 3 * number) < 8
        samples[index] = UInt8(isBlock ? 230 : 30 + (x * (number + 2) + y * 5) % 90)
      }
    }
  }

  private func mirroredLook(
    _ first: String, _ second: String, mirrors: Bool = true, sameScenes: Bool = true
  ) throws -> [DataLook.Finding] {
    let data = try PhotoFolder()
    var groups: [[BytePath]] = []
    for number in 0..<4 {
      let paths = [BytePath("\(first)/\(number).png"), BytePath("\(second)/\(number).png")]
      try data.add(paths[0], PNGEncoder.encode(scene(number, mirrored: false)))
      try data.add(
        paths[1], PNGEncoder.encode(scene(sameScenes ? number : number + 4, mirrored: sameScenes)))
      if sameScenes { groups.append(paths) }
    }
    return DataLook(
      try DatasetVerification.run(
        data.scan(), with: DecodingVerifier(), options: .init(threads: 2)),
      mirrors: mirrors, alike: groups
    ).findings.filter { $0.kind == .mirrored }
  }

  @Test func mirrorImagesUnderTwoLabelsAreNamedWhereTrainingMirrors() throws {
    let found = try mirroredLook("a", "z")
    #expect(
      found.map(\.count) == [4]
        && found[0].examples == [
          "a/0.png", "z/0.png", "a/1.png", "z/1.png", "a/2.png", "z/2.png",
        ])
    #expect(found[0].text.contains("horizontal_flip: false"))
    #expect(try mirroredLook("a", "z", mirrors: false).isEmpty)
    #expect(try mirroredLook("a", "z", sameScenes: false).isEmpty)
  }

  @Test(arguments: [
    ("left", "right"), ("hand_left", "hand_right"), ("HandLeft", "HandRight"), ("links", "rechts"),
    ("b", "d"), ("turn left 30", "turn right 30"), ("virage à droite", "virage à gauche"),
  ])
  func classesToldApartBySideAreNamedByTheirNames(_ first: String, _ second: String) throws {
    let found = try mirroredLook(first, second, sameScenes: false)
    #expect(found.count == 1)
    #expect(try mirroredLook(first, second, mirrors: false, sameScenes: false).isEmpty)
  }

  @Test(arguments: [
    ("vitamin b", "vitamin d"), ("bright", "leftover"), ("left", "right hand"), ("a", "b"),
  ])
  func otherNamesSayNothingOfSides(_ first: String, _ second: String) throws {
    #expect(try mirroredLook(first, second, sameScenes: false).isEmpty)
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

  @Test func darkOverexposedAndOddSizesAreNamed() throws {
    func dim(_ level: Int) -> RGBImage {
      RGBImage(size: PixelSize(width: 40, height: 30)) { samples in
        for index in samples.indices { samples[index] = UInt8(level + index / 3 % 40 / 3) }
      }
    }
    let odd = [dim(3), dim(242), dim(4), photo(4, width: 240, height: 180)]
    let look = try look([
      ("a", (0..<10).map { photo($0) } + odd, isPNG: true),
      ("b", (0..<10).map { photo($0) } + [photo(5, width: 8, height: 6)], isPNG: true),
    ])
    // Grey as they are, they are among the photos without colour too.
    #expect(kinds(look) == [.dark, .overexposed, .greyscale, .size])
    let examples = look.findings.map(\.examples)
    #expect(examples[0] == ["a/10.jpg", "a/12.jpg"] && examples[1] == ["a/11.jpg"])
    #expect(examples[3] == ["a/13.jpg", "b/10.jpg"])
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

  @Test func blurredPhotosAreNamed() throws {
    func blurred(_ image: RGBImage) -> RGBImage {
      image.resized(to: PixelSize(width: 4, height: 3), interpolation: .bilinear)
        .resized(to: image.size, interpolation: .bicubic)
    }
    let look = try look([
      ("a", (0..<10).map { photo($0) } + [blurred(photo(4))], isPNG: true),
      ("b", [blurred(photo(4))] + (0..<10).map { photo($0) }, isPNG: true),
    ])
    #expect(kinds(look) == [.blurred], "\(look.findings.map(\.text))")
    #expect(look.findings.first?.examples == ["a/10.jpg", "b/0.jpg"])
  }

  @Test func aClassOfAnotherCameraIsAShortcut() throws {
    let data = try PhotoFolder()
    for (name, camera) in [("a", "Maker One"), ("b", "Maker Two"), ("c", "")] {
      for number in 0..<10 {
        var bytes = try JPEGEncoder.encode(photo(number))
        if !camera.isEmpty { bytes.insert(contentsOf: exif(camera: camera), at: 2) }
        try data.add(BytePath("\(name)/\(number).jpg"), bytes)
      }
    }
    let look = DataLook(
      try DatasetVerification.run(
        data.scan(), with: DecodingVerifier(),
        options: .init(threads: 2, journal: data.run.appending("journal"))))
    #expect(kinds(look) == [.shortcut, .shortcut])
    #expect(
      look.findings.first?.text.contains("the camera gives class 'a' away: Maker One in 10") == true
    )
    #expect(look.classes.map(\.cameras) == [["Maker One": 10], ["Maker Two": 10], [:]])
    // The journal keeps what was seen.
    let again = try DatasetVerification.run(
      data.scan(), with: DecodingVerifier(),
      options: .init(threads: 2, journal: data.run.appending("journal")))
    #expect(
      again.reused == 30 && DataLook(again).classes.map(\.cameras) == look.classes.map(\.cameras))
  }

  /// A segment of a JPEG with the maker of a camera.
  private func exif(camera: String) -> [UInt8] {
    let text = Array(camera.utf8) + [0]
    var structure = Array("II*\0".utf8)
    structure += [8, 0, 0, 0, 1, 0, 0x0F, 1, 2, 0, UInt8(text.count), 0, 0, 0]
    structure += [26, 0, 0, 0, 0, 0, 0, 0]
    structure += text
    let head: [UInt8] = [0xFF, 0xE1, 0, UInt8(structure.count + 8)]
    return head + Array("Exif\0\0".utf8) + structure
  }

  @Test func classesOfOneOrTwoPhotosAreListedAllAtOnce() throws {
    let look = try look([
      ("a", (0..<3).map { photo($0) }, isPNG: true), ("b", [photo(4)], isPNG: true),
      ("c", [photo(5), photo(6)], isPNG: true),
    ])
    #expect(kinds(look) == [.imbalance, .fewPhotos])
    #expect(
      look.findings.last?.text.contains("2 classes have one or two photos: 'b' 1, 'c' 2") == true)
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
