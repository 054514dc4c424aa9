// SPDX-License-Identifier: Apache-2.0

import Testing
import ThawImages

/// Numbers of `Tools/augment_goldens.py` unless derived in place.
@Suite struct AugmentColorTests {
  private let samples: [UInt8] = [0, 1, 7, 33, 99, 100, 101, 250, 255]

  private func applied(_ draw: ColorDraw) -> [UInt8] {
    let size = PixelSize(width: samples.count, height: 1)
    let image = RGBImage(size: size, pixels: samples.flatMap { [$0, $0, $0] })
    let output = draw.applied(to: image)
    for pixel in 0..<samples.count {
      #expect(output.pixels[3 * pixel] == output.pixels[3 * pixel + 1])
      #expect(output.pixels[3 * pixel] == output.pixels[3 * pixel + 2])
    }
    return (0..<samples.count).map { output.pixels[3 * $0] }
  }

  @Test(
    arguments: [
      (0.5, [0, 0, 3, 16, 49, 50, 50, 125, 127]), (0.995, [0, 0, 6, 32, 98, 99, 100, 248, 253]),
      (1.009, [0, 1, 7, 33, 99, 100, 101, 252, 255]),
      (1.5, [0, 1, 10, 49, 148, 150, 151, 255, 255]),
    ] as [(Double, [UInt8])])
  func brightnessFactorEqualsPillows(_ factor: Double, _ expected: [UInt8]) {
    var draw = ColorDraw()
    draw.brightness = factor
    #expect(applied(draw) == expected)
  }

  @Test(
    arguments: [
      (0.6, 1.0, [0, 1, 10, 46, 124, 125, 126, 252, 255]),
      (0.5, 1.25, [0, 0, 3, 22, 92, 93, 95, 253, 255]),
      (0.4, 0.8, [0, 2, 10, 35, 85, 86, 87, 240, 255]),
    ] as [(Double, Double, [UInt8])])
  func lightingWorksOnLogits(_ brightness: Double, _ contrast: Double, _ expected: [UInt8]) {
    var draw = ColorDraw()
    (draw.lightingBrightness, draw.lightingContrast) = (brightness, contrast)
    #expect(applied(draw) == expected)
  }

  @Test func channelShiftIsClippedToTheLevelsThePhotoHas() {
    let pixels: [UInt8] = [20, 60, 100, 90, 200, 40]
    let image = RGBImage(size: PixelSize(width: 2, height: 1), pixels: pixels)
    var draw = ColorDraw()
    draw.channelShift = [15, 15, 15]
    #expect(draw.applied(to: image).pixels == [35, 75, 115, 105, 200, 55])
    draw.channelShift = [-15, 10.4, 120]
    #expect(draw.applied(to: image).pixels == [20, 70, 200, 75, 200, 160])
  }

  @Test(arguments: [(0.0, [124, 124, 124]), (0.5, [162, 112, 87]), (1.4, [230, 90, 20])])
  func saturationEqualsTorchvisions(_ factor: Double, _ expected: [Int]) {
    let color = RGBColor(red: 200, green: 100, blue: 50)
    let image = RGBImage(size: PixelSize(width: 1, height: 1), filledWith: color)
    var draw = ColorDraw()
    draw.saturation = factor
    #expect(draw.applied(to: image).pixels.map(Int.init) == expected)
  }

  @Test func noColorDrawChangesNothing() {
    let image = ImageFixtures.pattern(9, 7)
    #expect(ColorDraw().applied(to: image) == image)
  }

  @Test func cutoutPaintsASquareOfItsSizeInTheMeanColor() throws {
    var augmentation = Augmentation()
    augmentation.erasing = .cutout(side: 0.25)
    let white = RGBImage(size: PixelSize(width: 64, height: 64), filledWith: .white)
    for (contract, color) in [
      (Preprocessing.torch(inputSize: 64), RGBColor(red: 124, green: 116, blue: 104)),
      (.caffe(inputSize: 64), RGBColor(red: 124, green: 117, blue: 104)),
      (.efficientNetLite(inputSize: 64), RGBColor(red: 127, green: 127, blue: 127)),
      (.raw(inputSize: 64), .black),
    ] {
      for sample in 0..<20 {
        let draw = augmentation.draw(seed: 1, epoch: 0, sample: sample, size: white.size, side: 64)
        let square = contract.augmentedSquare(of: try decoded(white), draw: draw)
        let erased = (0..<4096).filter { square[$0 % 64, $0 / 64] != .white }
        #expect(erased.count == 16 * 16)
        #expect(erased.allSatisfy { square[$0 % 64, $0 / 64] == color })
        let columns = Set(erased.map { $0 % 64 })
        #expect(columns.count == 16 && (columns.max() ?? 0) - (columns.min() ?? 0) == 15)
      }
    }
  }

  @Test func erasedAreasAndProbabilityAreKept() {
    var augmentation = Augmentation()
    augmentation.erasing = RandomErasing(probability: 0.5, area: 0.1...0.3, count: 3)
    let size = PixelSize(width: 50, height: 50)
    let all = (0..<2000).map {
      augmentation.draw(seed: 1, epoch: 0, sample: $0, size: size, side: 50).erasures
    }
    let erased = all.filter { !$0.isEmpty }
    #expect(abs(erased.count - 1000) < 112)  // Five standard errors.
    #expect(erased.allSatisfy { $0.count == 3 })
    let boxes = erased.flatMap { $0 }
    let areas = boxes.map { $0.width * $0.height * 3 }
    #expect(areas.allSatisfy { $0 > 0.0999 && $0 < 0.3001 })
    #expect(
      boxes.allSatisfy {
        $0.left >= 0 && $0.top >= 0 && $0.left + $0.width <= 1 && $0.top + $0.height <= 1
      })
    // A shape that does not fit is shortened.
    augmentation.erasing = RandomErasing(probability: 1, area: 1...1, ratio: 0.3...3)
    let whole = augmentation.draw(seed: 1, epoch: 0, sample: 0, size: size, side: 50).erasures
    #expect(whole == [FractionalBox(left: 0, top: 0, width: 1, height: 1)])
  }
}
