// SPDX-License-Identifier: Apache-2.0

import Foundation
import Testing
import ThawImages
import ThawTensors
import ThawTestSupport

@Suite struct AugmentDrawTests {
  private func draws(
    _ augmentation: Augmentation, count: Int = 4000,
    size: PixelSize = PixelSize(width: 500, height: 375)
  ) -> [AugmentationDraw] {
    (0..<count).map { augmentation.draw(seed: 11, epoch: 0, sample: $0, size: size, side: 224) }
  }

  private func expectRange(
    _ values: [Double], _ range: ClosedRange<Double>,
    sourceLocation: SourceLocation = #_sourceLocation
  ) {
    let low = values.min() ?? .nan
    let high = values.max() ?? .nan
    let width = range.upperBound - range.lowerBound
    #expect(low >= range.lowerBound && high <= range.upperBound, sourceLocation: sourceLocation)
    #expect(low < range.lowerBound + 0.02 * width, sourceLocation: sourceLocation)
    #expect(high > range.upperBound - 0.02 * width, sourceLocation: sourceLocation)
  }

  @Test func kerasRangesAreCoveredEvenly() {
    var augmentation = Augmentation()
    augmentation.rotationDegrees = 40
    augmentation.widthShift = 0.1
    augmentation.heightShift = 0.2
    augmentation.shearDegrees = 15
    augmentation.zoom = 0.8...1.2
    augmentation.brightness = 0.5...1.5
    augmentation.channelShift = 20
    let all = draws(augmentation)
    expectRange(all.map(\.affine.rotationDegrees), -40...40)
    expectRange(all.map(\.affine.columnShift), -22.4...22.4)
    expectRange(all.map(\.affine.rowShift), -44.8...44.8)
    expectRange(all.map(\.affine.shearDegrees), -15...15)
    expectRange(all.map(\.affine.rowZoom), 0.8...1.2)
    expectRange(all.map(\.affine.columnZoom), 0.8...1.2)
    expectRange(all.map(\.color.brightness), 0.5...1.5)
    expectRange(all.map { $0.color.channelShift[0] }, -20...20)
    #expect(all.allSatisfy { $0.color.channelShift[0] == $0.color.channelShift[2] })
    #expect(all.contains { $0.affine.rowZoom != $0.affine.columnZoom })
    let mean = all.map(\.affine.rotationDegrees).reduce(0, +) / Double(all.count)
    #expect(abs(mean) < 1.5)  // Four standard errors: 4 * 23.1 / sqrt(4000).
    augmentation.locksZoom = true
    augmentation.channelShiftMode = .perChannel
    let locked = draws(augmentation, count: 100)
    #expect(locked.allSatisfy { $0.affine.rowZoom == $0.affine.columnZoom })
    #expect(locked.allSatisfy { $0.color.channelShift[0] != $0.color.channelShift[1] })
  }

  @Test func shiftsFromOneOnAreWholePixelsBelowTheLimit() {
    var augmentation = Augmentation()
    augmentation.widthShift = 4
    let shifts = Set(draws(augmentation, count: 500).map(\.affine.columnShift))
    #expect(shifts == [-3, -2, -1, 0, 1, 2, 3])
  }

  @Test func probabilitiesAreKept() {
    let all = draws(.photo)
    func share(_ happens: (AugmentationDraw) -> Bool) -> Double {
      Double(all.filter(happens).count) / Double(all.count)
    }
    // Five standard errors of 4000: 0.034 at most.
    #expect(abs(share { $0.affine.rotationDegrees != 0 } - 0.75) < 0.035)
    #expect(abs(share { $0.horizontalWarp != 0 } - 0.75) < 0.035)
    #expect(abs(share { $0.verticalWarp != 0 } - 0.75) < 0.035)
    #expect(abs(share { $0.color.lightingBrightness != 0.5 } - 0.75) < 0.035)
    #expect(abs(share { $0.color.lightingContrast != 1 } - 0.75) < 0.035)
    #expect(abs(share { $0.symmetry == .flipHorizontal } - 0.5) < 0.04)
    #expect(Set(all.map(\.symmetry)) == [.identity, .flipHorizontal])
    #expect(Set(draws(.topDown, count: 200).map(\.symmetry)).count == 8)
    #expect(Set(draws(.document, count: 200).map(\.symmetry)) == [.identity])
    expectRange(all.map(\.color.lightingBrightness), 0.4...0.6)
    expectRange(all.map { log($0.color.lightingContrast) }, log(0.8)...(-log(0.8)))
    expectRange(all.map(\.horizontalWarp), -0.2...0.2)
  }

  @Test(arguments: [(500, 375), (300, 300), (120, 900)])
  func cropsStayInsideThePhotoAndKeepTheirAreaAndShape(_ width: Int, _ height: Int) {
    var augmentation = Augmentation()
    augmentation.randomCrop = RandomCrop(scale: 0.08...0.5)
    let size = PixelSize(width: width, height: height)
    let crops = draws(augmentation, count: 2000, size: size).compactMap(\.crop)
    #expect(crops.count == 2000)
    #expect(
      crops.allSatisfy {
        $0.left >= 0 && $0.top >= 0 && $0.left + $0.width <= 1 + 1e-12
          && $0.top + $0.height <= 1 + 1e-12
      })
    let shapes = crops.map { log($0.width * Double(width) / ($0.height * Double(height))) }
    expectRange(shapes.map { $0 / (1 + 1e-12) }, log(0.75)...log(4.0 / 3))
    let areas = crops.map { $0.width * $0.height }
    #expect(areas.allSatisfy { $0 > 0.0799 && $0 < 0.5001 })
    if width < 600 { expectRange(crops.map { $0.left / (1 - $0.width) }, 0...1) }
  }

  @Test func aCropThatNeverFitsIsTheMiddle() throws {
    var augmentation = Augmentation()
    augmentation.randomCrop = RandomCrop(scale: 1...1)
    let size = PixelSize(width: 100, height: 1000)
    let draw = augmentation.draw(seed: 1, epoch: 0, sample: 0, size: size, side: 64)
    let crop = try #require(draw.crop)
    // Ratio 0.75: 100 wide, 133.3 high.
    expectClose(
      [crop.left, crop.top, crop.width, crop.height], [0, 0.5 - 1 / 15.0, 1, 2 / 15.0],
      absolute: 1e-12)
  }

  @Test func drawsDependOnSeedEpochAndSampleOnly() async {
    let size = PixelSize(width: 500, height: 375)
    @Sendable func draw(_ seed: UInt64, _ epoch: Int, _ sample: Int) -> AugmentationDraw {
      Augmentation.photo.draw(seed: seed, epoch: epoch, sample: sample, size: size, side: 224)
    }
    let forwards = (0..<64).map { draw(1, 0, $0) }
    let backwards = Array((0..<64).reversed().map { draw(1, 0, $0) }.reversed())
    #expect(forwards == backwards)
    let parallel = await withTaskGroup(of: (Int, AugmentationDraw).self) { group in
      for sample in 0..<64 { group.addTask { (sample, draw(1, 0, sample)) } }
      var found: [Int: AugmentationDraw] = [:]
      for await (sample, draw) in group { found[sample] = draw }
      return (0..<64).compactMap { found[$0] }
    }
    #expect(forwards == parallel)
    #expect(Set(forwards).count == 64)
    #expect(draw(1, 0, 5) != draw(2, 0, 5))
    #expect(draw(1, 0, 5) != draw(1, 1, 5))
  }

  @Test func switchingOneOperationOnLeavesTheOthersDraws() {
    var more = Augmentation.photo
    more.shearDegrees = 5
    more.saturation = 0.3
    more.erasing = RandomErasing(probability: 1)
    let size = PixelSize(width: 640, height: 480)
    for sample in 0..<20 {
      let plain = Augmentation.photo.draw(seed: 1, epoch: 2, sample: sample, size: size, side: 224)
      var changed = more.draw(seed: 1, epoch: 2, sample: sample, size: size, side: 224)
      #expect(changed.erasures.count == 1)
      changed.erasures = []
      changed.affine.shearDegrees = 0
      changed.color.saturation = 1
      #expect(changed == plain)
    }
  }

  @Test func aDrawSurvivesItsText() throws {
    let size = PixelSize(width: 640, height: 480)
    let draw = Augmentation.photo.draw(seed: 1, epoch: 2, sample: 3, size: size, side: 224)
    let text = try JSONEncoder().encode(draw)
    #expect(try JSONDecoder().decode(AugmentationDraw.self, from: text) == draw)
  }

  @Test func noneIsBitEqualToPlainPreparation() throws {
    for path in ["jpeg/orientation-7.jpg", "alpha/ramp.png"] {
      let bytes = try ImageFixtures.bytes(path)
      let contract = Preprocessing.efficientNetLite(inputSize: 32)
      var plain = [Float](repeating: .nan, count: contract.elementCount)
      var augmented = plain
      try bytes.withUnsafeBytes { raw in
        _ = try plain.withUnsafeMutableBufferPointer { try contract.prepare(raw, into: $0) }
        _ = try augmented.withUnsafeMutableBufferPointer {
          try contract.prepareAugmented(
            raw, augmentation: .none, seed: 1, epoch: 4, sample: 9, into: $0)
        }
      }
      #expect(plain == augmented)
    }
  }
}
