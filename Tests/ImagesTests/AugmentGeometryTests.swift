// SPDX-License-Identifier: Apache-2.0

import Foundation
import Testing
import ThawImages
import ThawTestSupport

/// Each operation alone, against positions computed here.
@Suite struct AugmentGeometryTests {
  private let side = 32
  private let image = ImageFixtures.pattern(32, 32)

  private func expectSquare(
    _ draw: AugmentationDraw, tolerance: Double = 0.85,
    sampledAt position: (Double, Double) -> (Double, Double)
  ) throws {
    let square = identityContract(side).augmentedSquare(of: try decoded(image), draw: draw)
    let reference = WarpReference(image: image, fill: draw.fill, color: draw.fillColor)
    #expect(largestDifference(square, reference.sampled(side, side, position)) < tolerance)
  }

  @Test func rotationTurnsClockwiseAboutTheCentre() throws {
    var draw = AugmentationDraw()
    draw.affine.rotationDegrees = 25
    draw.fill = .reflect
    let (c, s) = (cos(25 * Double.pi / 180), sin(25 * Double.pi / 180))
    try expectSquare(draw) { x, y in
      (15.5 + c * (x - 15.5) + s * (y - 15.5), 15.5 - s * (x - 15.5) + c * (y - 15.5))
    }
  }

  @Test func shiftMovesByFractionsOfAPixel() throws {
    var draw = AugmentationDraw()
    (draw.affine.rowShift, draw.affine.columnShift) = (3.25, -4.5)
    draw.fill = .wrap
    try expectSquare(draw) { x, y in (x - 4.5, y + 3.25) }
  }

  @Test func shearReadsRowsDisplacedAlongColumns() throws {
    var draw = AugmentationDraw()
    draw.affine.shearDegrees = 20
    draw.fill = .reflect101
    let (c, s) = (cos(20 * Double.pi / 180), sin(20 * Double.pi / 180))
    try expectSquare(draw) { x, y in (15.5 + c * (x - 15.5), y - s * (x - 15.5)) }
  }

  @Test func zoomBelowOneMagnifiesAndAboveOneFills() throws {
    var draw = AugmentationDraw()
    (draw.affine.rowZoom, draw.affine.columnZoom) = (1.3, 1.2)
    draw.fill = .constant
    draw.fillColor = RGBColor(red: 200, green: 0, blue: 90)
    try expectSquare(draw) { x, y in (15.5 + 1.2 * (x - 15.5), 15.5 + 1.3 * (y - 15.5)) }
    // Inside the photo the contract's own kernel is used: bilinear too, rounded after each of its
    // two passes.
    (draw.affine.rowZoom, draw.affine.columnZoom) = (0.5, 0.75)
    try expectSquare(draw, tolerance: 1.01) { x, y in
      (15.5 + 0.75 * (x - 15.5), 15.5 + 0.5 * (y - 15.5))
    }
  }

  @Test func warpReadsAlongTheProjectiveMap() throws {
    var draw = AugmentationDraw()
    (draw.horizontalWarp, draw.verticalWarp) = (0.2, -0.1)
    draw.fill = .reflect
    // The solution of fastai's equations for these magnitudes, on -1 to 1.
    let (a, b) = (-0.0421052632, [-0.2042105263, 0.1084210526])
    try expectSquare(draw) { x, y in
      let (u, v) = ((x + 0.5) / 16 - 1, (y + 0.5) / 16 - 1)
      let d = b[0] * u + b[1] * v + 1
      let (px, py) = ((u + a * v + b[0]) / d, (a * u + v + b[1]) / d)
      return ((px + 1) * 16 - 0.5, (py + 1) * 16 - 0.5)
    }
  }

  @Test func turnsComeAfterEverythingElseAndMoveWholePixels() throws {
    let photo = try decoded(image)
    let contract = identityContract(side)
    var draw = AugmentationDraw()
    for symmetry in Dihedral.allCases {
      draw.symmetry = symmetry
      #expect(contract.augmentedSquare(of: photo, draw: draw) == image.applying(symmetry))
    }
    draw.affine.rotationDegrees = 10
    draw.symmetry = .identity
    let turned = contract.augmentedSquare(of: photo, draw: draw)
    draw.symmetry = .flipHorizontal
    #expect(contract.augmentedSquare(of: photo, draw: draw) == turned.applying(.flipHorizontal))
  }

  @Test func anEmptyDrawIsThePlainSquare() throws {
    let photo = try decoded(ImageFixtures.pattern(90, 61))
    let contract = Preprocessing.efficientNetLite(inputSize: 24)
    #expect(
      contract.augmentedSquare(of: photo, draw: AugmentationDraw()) == contract.square(of: photo))
  }

  @Test func aCropOfTheBoxIsResizedWithTheContractsKernel() throws {
    let image = ImageFixtures.pattern(90, 60)
    var draw = AugmentationDraw()
    draw.crop = FractionalBox(left: 0.1, top: 0.25, width: 0.8, height: 0.5)
    let contract = Preprocessing.efficientNetLite(inputSize: 24)
    let expected = image.resized(
      to: PixelSize(width: 24, height: 24), interpolation: .bicubic,
      box: SourceBox(left: 9, top: 15, right: 81, bottom: 45))
    #expect(
      largestDifference(contract.augmentedSquare(of: try decoded(image), draw: draw), expected) <= 1
    )
  }

  // A photo whose red grows with x and green with y, so that every level tells where it was read.
  private func ramp(_ width: Int, _ height: Int) -> RGBImage {
    RGBImage(size: PixelSize(width: width, height: height)) { pixels in
      for index in 0..<(width * height) {
        let (x, y) = (Double(index % width) + 0.5, Double(index / width) + 0.5)
        pixels[3 * index] = UInt8((x / Double(width) * 250).rounded())
        pixels[3 * index + 1] = UInt8((y / Double(height) * 250).rounded())
        pixels[3 * index + 2] = 0
      }
    }
  }

  @Test(arguments: [(400, 300), (300, 900), (61, 70), (1500, 200)])
  func aReducedPhotoIsReadAtTheSamePlaces(_ width: Int, _ height: Int) throws {
    let photo = try decoded(ramp(width, height))
    let contract = Preprocessing.torch(inputSize: 40)
    var augmentation = Augmentation.photo
    augmentation.lighting = 0
    augmentation.flipsHorizontally = false
    for epoch in 0..<12 {
      if epoch == 6 { augmentation.randomCrop = nil }
      let draw = augmentation.draw(
        seed: 3, epoch: epoch, sample: 0, size: photo.originalSize, side: 40)
      let square = contract.augmentedSquare(of: photo, draw: draw)
      let map = contract.photoMap(of: draw, size: photo.originalSize)
      for y in 0..<40 {
        for x in 0..<40 {
          let at = map(x: Double(x) + 0.5, y: Double(y) + 0.5)
          let (u, v) = (at.x / Double(width), at.y / Double(height))
          guard (0.05...0.95).contains(u), (0.05...0.95).contains(v) else { continue }
          let found = square[x, y]
          #expect(abs(Double(found.red) - u * 250) < 2 && abs(Double(found.green) - v * 250) < 2)
        }
      }
    }
  }

  @Test func reducingFirstKeepsFinePatternsFromAliasing() throws {
    // Stripes of one pixel become grey, not a moiré of black and white.
    let stripes = RGBImage(size: PixelSize(width: 320, height: 320)) { pixels in
      for index in 0..<pixels.count { pixels[index] = (index / 3 % 320) % 2 == 0 ? 0 : 255 }
    }
    var draw = AugmentationDraw()
    draw.affine.rotationDegrees = 10
    let contract = Preprocessing.torch(inputSize: 64)
    let square = contract.augmentedSquare(of: try decoded(stripes), draw: draw)
    let worst = square.pixels.map { abs(Int($0) - 127) }.max() ?? 255
    // Measured: 12; 128 without the reduction.
    #expect(worst < 16)
  }

  @Test func scaledDecodingReadsTheSamePlaces() throws {
    let bytes = try JPEGEncoder.encode(ramp(1600, 1200), quality: 95)
    let contract = Preprocessing.torch(inputSize: 32)
    var outputs: [[Float]] = []
    for isScaled in [false, true] {
      var output = [Float](repeating: .nan, count: contract.elementCount)
      try output.withUnsafeMutableBufferPointer { (buffer) throws(ImageError) in
        try bytes.withUnsafeBufferPointer { (raw) throws(ImageError) in
          _ = try contract.prepareAugmented(
            UnsafeRawBufferPointer(raw), augmentation: .photo, seed: 5, epoch: 1, sample: 2,
            scaledDecoding: isScaled, into: buffer)
        }
      }
      outputs.append(output)
    }
    #expect(outputs[0] != outputs[1])
    // One level is 0.018 here.
    expectClose(outputs[1], outputs[0], absolute: 0.06)
  }
}
