// SPDX-License-Identifier: Apache-2.0

import Testing
import ThawDatasets
import ThawImages
import ThawTensors
import ThawTestSupport

/// Copies of a photo are found, and different photos are told apart.
@Suite struct NearDuplicateTests {
  /// A made-up scene: a few soft blobs on a slope, as unlike as photos of one class.
  private func scene(_ number: Int, width: Int = 120, height: Int = 90) -> RGBImage {
    var stream = RandomStream(seed: 7, purpose: .procedural, epoch: number, sample: 0)
    func draw(_ low: Double, _ high: Double) -> Double {
      low + (high - low) * Double(stream.uniform())
    }
    let slope = (draw(-60, 60), draw(-60, 60))
    let blobs = (0..<7).map { _ in
      (x: draw(0, 1), y: draw(0, 1), size: draw(0.02, 0.12), level: draw(-110, 110))
    }
    let tint = [draw(0.7, 1.2), draw(0.7, 1.2), draw(0.7, 1.2)]
    return RGBImage(size: PixelSize(width: width, height: height)) { samples in
      for index in 0..<(width * height) {
        let x = (Double(index % width) + 0.5) / Double(width)
        let y = (Double(index / width) + 0.5) / Double(height)
        var level = 120 + slope.0 * (x - 0.5) + slope.1 * (y - 0.5)
        for blob in blobs {
          let distance = (x - blob.x) * (x - blob.x) + (y - blob.y) * (y - blob.y)
          level += blob.level / (1 + distance / (blob.size * blob.size))
        }
        for channel in 0..<3 {
          samples[3 * index + channel] = UInt8(min(max(level * tint[channel], 0), 255))
        }
      }
    }
  }

  private func changed(_ image: RGBImage, _ change: (Double) -> Double) -> RGBImage {
    RGBImage(
      size: image.size,
      pixels: image.pixels.map { UInt8(min(max(change(Double($0)), 0), 255).rounded()) })
  }

  private func resaved(_ image: RGBImage, _ quality: Int) throws -> RGBImage {
    try ImageDecoder.decode(try JPEGEncoder.encode(image, quality: quality)).image
  }

  private func mirrored(_ image: RGBImage) -> RGBImage {
    RGBImage(size: image.size) { samples in
      for index in 0..<(image.width * image.height) {
        let color = image[image.width - 1 - index % image.width, index / image.width]
        samples[3 * index] = color.red
        samples[3 * index + 1] = color.green
        samples[3 * index + 2] = color.blue
      }
    }
  }

  private func copies(_ image: RGBImage) throws -> [RGBImage] {
    let (width, height) = (image.width, image.height)
    func crop(_ x: Double, _ y: Double) -> RGBImage {
      let size = PixelSize(width: width * 95 / 100, height: height * 95 / 100)
      return image.cropped(
        to: PixelRectangle(
          x: Int(x * Double(width - size.width)), y: Int(y * Double(height - size.height)),
          size: size))
    }
    func resized(_ scale: Double) -> RGBImage {
      image.resized(
        to: PixelSize(width: Int(Double(width) * scale), height: Int(Double(height) * scale)),
        interpolation: .bicubic)
    }
    return try [
      image, resaved(image, 30), resaved(image, 60), resaved(image, 95), resized(0.3), resized(0.6),
      resized(2), crop(0, 0), crop(1, 0), crop(0, 1), crop(1, 1), crop(0.5, 0.5),
      changed(image) { $0 * 1.1 }, changed(image) { ($0 - 128) * 0.85 + 128 }, mirrored(image),
      resaved(resized(0.5), 50),
    ]
  }

  @Test func copiesAreFoundAndOthersAreNot() throws {
    var thumbnails: [PhotoThumbnail] = []
    var scenes: [Int] = []
    for number in 0..<80 {
      for copy in try copies(scene(number)) {
        thumbnails.append(PhotoThumbnail(copy))
        scenes.append(number)
      }
    }
    let groups = NearDuplicates.groups(thumbnails)
    var group = Array(repeating: -1, count: scenes.count)
    for (index, members) in groups.enumerated() { for member in members { group[member] = index } }
    var (found, right, wanted) = (0, 0, 0)
    for one in scenes.indices {
      for two in 0..<one {
        let together = group[one] >= 0 && group[one] == group[two]
        if together { found += 1 }
        if scenes[one] == scenes[two] { wanted += 1 }
        if together, scenes[one] == scenes[two] { right += 1 }
      }
    }
    #expect(Double(right) >= 0.95 * Double(wanted), "recall \(right) of \(wanted)")
    #expect(Double(right) >= 0.95 * Double(found), "precision \(right) of \(found)")
  }

  /// Every pair that comparing all with all finds, and no other.
  @Test(arguments: [0, 3, 7, 11, 15])
  func neighboursAreThoseOfComparingAllWithAll(distance: Int) {
    var stream = RandomStream(seed: 5, purpose: .procedural, epoch: distance, sample: 0)
    var hashes: [UInt64] = []
    for _ in 0..<60 {
      let hash = UInt64(stream.uniform() * 4e9) << 32 | UInt64(stream.uniform() * 4e9)
      hashes.append(hash)
      for flips in 0..<20 {
        hashes.append(
          (0..<flips).reduce(hash) { one, _ in one ^ 1 << UInt64(stream.uniform() * 63.99) })
      }
    }
    let neighbours = HashNeighbours(hashes)
    var pairs = 0
    for (index, hash) in hashes.enumerated() {
      var found: Set<Int> = []
      neighbours.forEach(near: hash, behind: index, distance: distance) { found.insert($0) }
      let wanted = hashes.indices.filter {
        $0 > index && (hashes[$0] ^ hash).nonzeroBitCount <= distance
      }
      #expect(found == Set(wanted), "of \(index)")
      pairs += wanted.count
    }
    #expect(pairs > 60)
  }

  @Test func blankPhotosAreLikeNoOther() {
    let blank = RGBImage(
      size: PixelSize(width: 40, height: 30), filledWith: RGBColor(red: 250, green: 250, blue: 250))
    let thumbnail = PhotoThumbnail(blank)
    #expect(thumbnail.levels.allSatisfy { $0 == 250 })
    #expect(NearDuplicates.groups([thumbnail, thumbnail, nil]).isEmpty)
  }

  @Test(arguments: [(1, 1), (3, 40), (16, 16), (500, 7)])
  func thumbnailsKeepTheMeanBrightness(width: Int, height: Int) {
    let image = scene(3, width: width, height: height)
    let pixels = image.pixels
    var sum = 0.0
    for (index, sample) in pixels.enumerated() {
      sum += [0.299, 0.587, 0.114][index % 3] * Double(sample)
    }
    let mean = sum / Double(width * height)
    let levels = PhotoThumbnail(image).levels
    let found = levels.reduce(0.0) { $0 + Double($1) } / Double(levels.count)
    #expect(abs(found - mean) < 0.51)
  }

  /// Every cell against its definition in double precision, whatever lies on its border.
  @Test(arguments: [(1, 1), (7, 9), (17, 31), (63, 47), (200, 5)])
  func cellsAreTheMeansOfWhatTheyCover(width: Int, height: Int) {
    let image = scene(5, width: width, height: height)
    let side = PhotoThumbnail.side
    func overlap(_ pixel: Int, _ count: Int, _ cell: Int) -> Double {
      let scale = Double(side) / Double(count)
      return max(
        min(Double(pixel + 1) * scale, Double(cell + 1)) - max(Double(pixel) * scale, Double(cell)),
        0)
    }
    let levels = PhotoThumbnail(image).levels
    for cell in 0..<(side * side) {
      var mean = 0.0
      for y in 0..<height where overlap(y, height, cell / side) > 0 {
        for x in 0..<width {
          let color = image[x, y]
          let brightness =
            0.299 * Double(color.red) + 0.587 * Double(color.green) + 0.114 * Double(color.blue)
          mean +=
            overlap(x, width, cell % side) * overlap(y, height, cell / side) * brightness
        }
      }
      #expect(abs(Double(levels[cell]) - mean) < 0.51, "cell \(cell)")
    }
  }

  @Test func aGroupLiesInOneSplit() throws {
    let data = try PhotoFolder()
    for name in ["a", "b"] {
      for number in 0..<10 {
        let image = scene(number + (name == "a" ? 200 : 300))
        for quality in [40, 60, 80, 90] {
          try data.add(
            BytePath("\(name)/\(number) \(quality).jpg"),
            JPEGEncoder.encode(image, quality: quality))
        }
      }
    }
    func manifest(_ policy: NearDuplicatePolicy) throws -> Manifest {
      var builder = ManifestBuilder()
      builder.nearDuplicates = policy
      return try builder.build(
        DatasetVerification.run(
          data.scan(), with: DecodingVerifier(), options: .init(threads: 2)))
    }
    let grouped = try manifest(.group)
    #expect(grouped.nearDuplicates?.count == 20)
    #expect(grouped.nearDuplicates?.allSatisfy { $0.kinds == [.withinClass] } == true)
    #expect(grouped.counts(in: .valid) == [8, 8] && grouped.counts(in: .train) == [32, 32])
    #expect(grouped.pictures(of: grouped.records(in: .valid)) == 4)
    #expect(grouped.warnings.contains { $0.hasPrefix("80 photos show 20 pictures, each in one") })
    let warned = try manifest(.warn)
    #expect(warned.warnings.contains { $0.contains("in several splits as photos") })
    #expect(try manifest(.ignore).nearDuplicates == nil)
    let dropped = try manifest(.drop)
    #expect(dropped.records.count == 20 && dropped.nearDuplicates == [])
    #expect(dropped.notes.map(\.kind) == [.nearDuplicate] && dropped.notes[0].count == 60)
  }

  /// Different pages of text are alike in a thumbnail; binding them would leave nothing to measure, and
  /// dropping them would drop the dataset.
  @Test(arguments: [NearDuplicatePolicy.group, .drop, .warn])
  func pagesOfTextAreNotTakenForCopies(_ policy: NearDuplicatePolicy) throws {
    let data = try PhotoFolder()
    for (kind, name) in ["invoice", "letter"].enumerated() {
      for number in 0..<20 {
        try data.add(
          BytePath("\(name)/\(number).jpg"),
          JPEGEncoder.encode(page(kind * 100 + number), quality: 95))
      }
    }
    var builder = ManifestBuilder()
    builder.nearDuplicates = policy
    let verification = try DatasetVerification.run(
      data.scan(), with: DecodingVerifier(), options: .init(threads: 2))
    #expect(
      !NearDuplicates.groups(verification.photos.map(\.image.thumbnail)).isEmpty,
      "The pages must look alike for this to say anything.")
    let manifest = try builder.build(verification)
    #expect(manifest.records.count == 40)
    #expect(manifest.counts(in: .valid) == [4, 4])
    #expect(manifest.notes.map(\.kind) == [.lookAlike])
    #expect(manifest.warnings.contains { $0.contains("not taken for copies") })
  }

  /// Twenty black lines of words on white, of a length that the number says.
  private func page(_ number: Int) -> RGBImage {
    let (width, height) = (240, 320)
    var pixels = [UInt8](repeating: 255, count: width * height * 3)
    var state = UInt64(number + 1) &* 0x9E37_79B9_7F4A_7C15
    for line in 0..<20 {
      state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      let end = 150 + Int(state >> 33) % 60
      for y in (20 + line * 14)..<(26 + line * 14) {
        for x in 20..<end where (x + Int(state >> 40) % 7) % 9 != 0 {
          for channel in 0..<3 { pixels[(y * width + x) * 3 + channel] = 20 }
        }
      }
    }
    return RGBImage(size: PixelSize(width: width, height: height), pixels: pixels)
  }
}
