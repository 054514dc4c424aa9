// SPDX-License-Identifier: Apache-2.0

import Foundation
import Testing
import ThawImages

/// What is kept of a decoded photo shows what decoding anew would show.
@Suite struct PhotoKeepingTests {
  private let contract = Preprocessing(
    inputSize: 64, scale: 1 / 255, mean: [0.5, 0.5, 0.5], std: [0.25, 0.25, 0.25])

  /// Waves of many lengths and an edge: something that blurring and aliasing would change.
  private func scene(_ width: Int, _ height: Int) -> RGBImage {
    RGBImage(size: PixelSize(width: width, height: height)) { pixels in
      for y in 0..<height {
        for x in 0..<width {
          let (u, v) = (Double(x) / Double(width), Double(y) / Double(height))
          let wave = sin(40 * u * u + 9 * v) + 0.5 * sin(70 * v * v - 13 * u)
          let edge = u + 0.3 * v > 0.7 ? 40.0 : -20
          for c in 0..<3 {
            let value = 120 + 45 * wave + edge + 10 * Double(c) * u
            pixels[(y * width + x) * 3 + c] = UInt8(min(max(value, 0), 255))
          }
        }
      }
    }
  }

  private func draws(_ augmentation: Augmentation, _ size: PixelSize) -> [AugmentationDraw] {
    (0..<24).map {
      augmentation.draw(seed: 3, epoch: $0, sample: 5, size: size, side: contract.inputSize)
    }
  }

  private func numbers(_ photo: DecodedImage, _ view: TestTimeView) -> [Float] {
    var output = [Float](repeating: .nan, count: contract.elementCount)
    output.withUnsafeMutableBufferPointer {
      contract.prepare(photo, testTimeViews: [view], sample: 5, into: $0)
    }
    return output
  }

  private func expectSameBits(_ augmentation: Augmentation, shrinks: Bool, _ photo: DecodedImage) {
    let kept = PhotoKeeping(contract, augmentation, shrinks: shrinks).kept(photo)
    for number in 0..<12 {
      let view = TestTimeView.augmented(AugmentedView(augmentation, seed: 9, number: number))
      #expect(numbers(kept, view) == numbers(photo, view), "view \(number)")
    }
    #expect(numbers(kept, .plain(.center)) == numbers(photo, .plain(.center)))
  }

  /// The longer side of the smallest crop has 1.5 pixels to one of the square's, or less.
  @Test(arguments: [Augmentation.photo, .topDown, .document, .crops])
  func photosThatDrawsNeedInFullKeepTheirPixels(_ augmentation: Augmentation) {
    let photo = DecodedImage(pixels: scene(112, 100))
    let rule = PhotoKeeping(contract, augmentation, shrinks: true)
    #expect(rule.kept(photo).form == .decoded)
    #expect(rule.kept(photo).image == photo.image)
    #expect(rule.shrunkSize(of: photo.originalSize) == nil)
    expectSameBits(augmentation, shrinks: true, photo)
  }

  @Test(arguments: [Augmentation.photo, .topDown, .document, .crops])
  func wholePhotosGiveTheSameBitsAtAnySize(_ augmentation: Augmentation) {
    let photo = DecodedImage(pixels: scene(900, 620))
    #expect(PhotoKeeping(contract, augmentation, shrinks: false).kept(photo).form == .decoded)
    expectSameBits(augmentation, shrinks: false, photo)
  }

  /// A JPEG that is decoded at a fraction of its size is kept so, with what it covers.
  @Test func photosDecodedAtAFractionKeepTheirBits() throws {
    let bytes = try JPEGEncoder.encode(scene(1601, 1203), quality: 95)
    try bytes.withUnsafeBytes { bytes in
      let photo = try contract.decode(bytes)
      #expect(photo.scaleDenominator == 4)
      expectSameBits(.photo, shrinks: false, photo)
      var anew = [Float](repeating: .nan, count: contract.elementCount)
      let view = TestTimeView.augmented(AugmentedView(.photo, seed: 9, number: 4))
      try anew.withUnsafeMutableBufferPointer {
        _ = try contract.prepare(bytes, testTimeViews: [view], sample: 5, into: $0)
      }
      let kept = PhotoKeeping(contract, .photo, shrinks: false).kept(photo)
      #expect(numbers(kept, view) == anew)
    }
  }

  @Test func whereNothingMovesTheSquareIsKept() {
    let photo = DecodedImage(pixels: scene(900, 620))
    var colours = Augmentation.none
    (colours.lighting, colours.saturation) = (0.3, 0.4)
    (colours.flipsHorizontally, colours.erasing) = (true, RandomErasing())
    for augmentation in [colours, .none, .mirror] {
      for shrinks in [true, false] {
        let rule = PhotoKeeping(contract, augmentation, shrinks: shrinks)
        let kept = rule.kept(photo)
        #expect(kept.form == .square && kept.image.pixels.count == contract.elementCount)
        #expect(rule.byteCount(of: photo.originalSize) == contract.elementCount)
        expectSameBits(augmentation, shrinks: shrinks, photo)
      }
    }
  }

  /// The size: the tightest crop, a third of the photo's area and three quarters as wide as high, has 1.5
  /// pixels to one of the square's.
  @Test func largePhotosKeepWhatDrawsCanLookAt() throws {
    let size = PixelSize(width: 4000, height: 3000)
    let rule = PhotoKeeping(contract, .photo, shrinks: true)
    let kept = try #require(rule.shrunkSize(of: size))
    let tightest = (0.35 * 0.75 * Double(kept.width * kept.height)).squareRoot()
    #expect(abs(tightest / 64 - 1.5) < 0.02)
    #expect(abs(Double(kept.width) / Double(kept.height) - 4.0 / 3) < 0.01)
    #expect(rule.byteCount(of: size) == kept.width * kept.height * 3)
    // A zoom magnifies what is there.
    var zoomed = Augmentation.photo
    zoomed.zoom = 0.5...1
    let more = try #require(PhotoKeeping(contract, zoomed, shrinks: true).shrunkSize(of: size))
    #expect(abs(Double(more.width) / Double(kept.width) - 2) < 0.02)
  }

  /// Measured: mean difference 0.52 to 0.59 levels, 99 % of the samples within 3, neighbours 0.984 to 1.014 as
  /// different.
  @Test(arguments: [Augmentation.photo, .topDown, .document, .crops])
  func shrunkPhotosLookAlike(_ augmentation: Augmentation) {
    let photo = DecodedImage(pixels: scene(900, 620))
    let kept = PhotoKeeping(contract, augmentation, shrinks: true).kept(photo)
    #expect(kept.form == .shrunk && kept.image.pixels.count < photo.image.pixels.count / 2)
    var (differences, steps) = ([Int](), (kept: 0.0, anew: 0.0))
    for draw in draws(augmentation, photo.originalSize) {
      let (small, anew) = (
        contract.augmentedSquare(of: kept, draw: draw),
        contract.augmentedSquare(of: photo, draw: draw)
      )
      differences += zip(small.pixels, anew.pixels).map { abs(Int($0) - Int($1)) }
      steps.kept += sharpness(small)
      steps.anew += sharpness(anew)
    }
    differences.sort()
    let mean = Double(differences.reduce(0, +)) / Double(differences.count)
    #expect(mean < 0.7, "\(mean)")
    #expect(differences[differences.count * 99 / 100] <= 4)
    // As sharp as before: neighbours differ as much.
    #expect(abs(steps.kept / steps.anew - 1) < 0.025, "\(steps.kept / steps.anew)")
  }

  private func sharpness(_ image: RGBImage) -> Double {
    var sum = 0.0
    for index in 3..<image.pixels.count {
      let step = Double(image.pixels[index]) - Double(image.pixels[index - 3])
      sum += step * step
    }
    return sum
  }

  @Test func theNearestPixelIsThePhotosOwn() {
    let nearest = Preprocessing(
      inputSize: 64, scale: 1, mean: [0, 0, 0], std: [1, 1, 1], interpolation: .nearest)
    let photo = DecodedImage(pixels: scene(900, 620))
    let rule = PhotoKeeping(nearest, .photo, shrinks: true)
    #expect(rule.kept(photo).form == .decoded && rule.shrunkSize(of: photo.originalSize) == nil)
  }

  @Test func whatChangesKeptPixelsIsInTheirKey() {
    let keys = [
      PhotoKeeping(contract, .photo, shrinks: true), PhotoKeeping(contract, .photo, shrinks: false),
      PhotoKeeping(contract, .document, shrinks: true),
      PhotoKeeping(contract, .none, shrinks: true),
      PhotoKeeping(contract.withInputSize(32), .photo, shrinks: false),
    ].map(\.key)
    #expect(Set(keys).count == keys.count)
    #expect(
      PhotoKeeping(contract, .document, shrinks: false).key
        == PhotoKeeping(contract, .photo, shrinks: false).key)
  }
}
