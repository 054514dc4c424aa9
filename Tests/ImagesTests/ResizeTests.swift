// SPDX-License-Identifier: Apache-2.0

import Testing
import ThawImages

@Suite struct ResizeTests {
  // Measured against Pillow 13: 0 levels on 800 random sizes, kernels and boxes.
  @Test func everySampleIsWithinOneLevelOfPillow() throws {
    let names = try ImageFixtures.names(in: "resize", suffix: ".png")
    #expect(names.count >= 24)
    for name in names {
      let words = name.split(separator: "-").map(String.init)  // 37x23 to 16x10 bicubic [box]
      let sizes = [words[0], words[2]].map { $0.split(separator: "x").compactMap { Int($0) } }
      let (width, height) = (sizes[0][0], sizes[0][1])
      let kernel = try #require(Interpolation(rawValue: words[3]))
      let box: SourceBox? =
        words.count > 4
        ? SourceBox(
          left: 2.25, top: 3.5, right: Double(width) - 4.75, bottom: Double(height) - 1.125)
        : nil
      let resized = ImageFixtures.pattern(width, height).resized(
        to: PixelSize(width: sizes[1][0], height: sizes[1][1]), interpolation: kernel,
        box: box)
      let difference = largestDifference(resized, try ImageFixtures.image("resize/\(name).png"))
      #expect(difference <= 1, "\(name): \(difference)")
    }
  }

  @Test(arguments: Interpolation.allCases)
  func aRegionHasThePixelsOfTheWholeResizeCropped(_ kernel: Interpolation) {
    for (from, to) in [((50, 37), (34, 25)), ((20, 60), (31, 22)), ((13, 9), (40, 41))] {
      let image = ImageFixtures.pattern(from.0, from.1)
      let target = PixelSize(width: to.0, height: to.1)
      let whole = image.resized(to: target, interpolation: kernel)
      for (x, y, width, height) in [(0, 0, to.0, to.1), (3, 5, 16, 9), (to.0 - 1, to.1 - 1, 1, 1)] {
        let region = PixelRectangle(x: x, y: y, size: PixelSize(width: width, height: height))
        let part = image.resized(to: target, interpolation: kernel, region: region)
        #expect(part == whole.cropped(to: region))
      }
    }
  }

  @Test func oneColourStaysThatColour() {
    let color = RGBColor(red: 255, green: 0, blue: 131)
    let image = RGBImage(size: PixelSize(width: 31, height: 17), filledWith: color)
    for kernel in Interpolation.allCases {
      let resized = image.resized(to: PixelSize(width: 9, height: 50), interpolation: kernel)
      #expect(resized == RGBImage(size: resized.size, filledWith: color))
    }
  }

  @Test func theSameSizeIsTheSameImage() {
    let image = ImageFixtures.pattern(12, 7)
    #expect(image.resized(to: image.size, interpolation: .bicubic) == image)
  }

  @Test func extremeAspectRatiosNeedNoMoreMemoryThanTheRegion() {
    // Whole, the resized image would have 256 * 25 600 000 pixels.
    let image = ImageFixtures.pattern(1, 100_000)
    let target = ResizeRule.shorterSide.resizedSize(of: image.size, target: 256)
    #expect(target == PixelSize(width: 256, height: 25_600_000))
    let region = PixelRectangle(x: 16, y: 12_799_888, size: PixelSize(width: 224, height: 224))
    let part = image.resized(to: target, interpolation: .bicubic, region: region)
    #expect(part.size == region.size)
  }

  @Test(arguments: [
    (500, 375, 256, 341, 256), (375, 500, 256, 256, 341), (100, 100, 256, 256, 256),
    (333, 500, 256, 256, 384), (3, 7, 2, 2, 4), (1000, 3, 8, 2666, 8),
  ])
  func shorterSideRoundsTheLongerDownLikeTorchvision(
    _ width: Int, _ height: Int, _ target: Int, _ newWidth: Int, _ newHeight: Int
  ) {
    let resized = ResizeRule.shorterSide.resizedSize(
      of: PixelSize(width: width, height: height), target: target)
    #expect(resized == PixelSize(width: newWidth, height: newHeight))
    let squashed = ResizeRule.squash.resizedSize(
      of: PixelSize(width: width, height: height), target: target)
    #expect(squashed == PixelSize(width: target, height: target))
  }
}
