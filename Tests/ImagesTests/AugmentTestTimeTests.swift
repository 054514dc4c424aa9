// SPDX-License-Identifier: Apache-2.0

import Testing
import ThawImages
import ThawTestSupport

@Suite struct AugmentTestTimeTests {
  private let clean: [Float] = [0.9, 0.1]

  @Test func theFirstVariantIsTheMeanOfOneCleanAndFourAugmented() {
    let variant = TestTimeAugmentation.mean(of: .photo, seed: 1)
    #expect(variant.views.count == 5 && variant.views[0] == .plain(.center))
    let others: [[Float]] = [[0.5, 0.5], [0.7, 0.3], [0.1, 0.9], [0.3, 0.7]]
    // (0.9 + 0.5 + 0.7 + 0.1 + 0.3) / 5
    expectClose(variant.combine([clean] + others), [0.5, 0.5] as [Float])
    // Six augmented ones come with two clean copies: (2 * 0.9 + 6 * 0.1) / 8.
    let six = TestTimeAugmentation.mean(of: .photo, seed: 1, count: 6)
    let predictions = [clean] + Array(repeating: [0.1, 0.9] as [Float], count: 6)
    expectClose(six.combine(predictions), [0.3, 0.7] as [Float])
  }

  @Test func theSecondVariantBlendsEightCornersWithTwoFifthsClean() {
    let variant = TestTimeAugmentation.corners()
    #expect(variant.views.count == 9 && Set(variant.views).count == 9)
    let predictions = [clean] + Array(repeating: [0.2, 0.8] as [Float], count: 8)
    // 0.4 * 0.9 + 0.6 * 0.2
    expectClose(variant.combine(predictions), [0.48, 0.52] as [Float])
  }

  @Test func theThirdVariantKeepsAQuarterOfTheCleanPrediction() {
    let variant = TestTimeAugmentation.blend(of: .photo, seed: 1)
    let others: [[Float]] = [[0.5, 0.5], [0.7, 0.3], [0.1, 0.9], [0.3, 0.7]]
    // 0.25 * 0.9 + 0.75 * 0.4, not 0.75 * 0.9 + 0.25 * 0.4.
    expectClose(variant.combine([clean] + others), [0.525, 0.475] as [Float])
    let largest = TestTimeAugmentation.maximum(of: .photo, seed: 1)
    #expect(largest.combine([clean] + others) == [0.9, 0.9])
  }

  @Test func cropsWeighTheSame() {
    let crops = TestTimeAugmentation.crops(count: 2)
    #expect(crops.views == [.plain(.center), .plain(.flippedCenter)])
    expectClose(
      crops.combine([[0.9, 0.1, 0, 1], [0.5, 0.5, 1, 0]]), [0.7, 0.3, 0.5, 0.5] as [Float])
  }

  @Test func cornersShowTheMagnifiedCornersOfTheSquare() throws {
    // 54 / 1.35 = 40: a quarter of the corners' own pixels in each view.
    let image = ImageFixtures.pattern(54, 54)
    let contract = identityContract(54)
    let photo = try decoded(image)
    let boxes = [
      SourceBox(left: 0, top: 0, right: 40, bottom: 40),
      SourceBox(left: 14, top: 0, right: 54, bottom: 40),
      SourceBox(left: 0, top: 14, right: 40, bottom: 54),
      SourceBox(left: 14, top: 14, right: 54, bottom: 54),
    ]
    for (index, view) in TestTimeAugmentation.corners().views.dropFirst().enumerated() {
      let draw = try #require(view.draw(sample: 0, size: image.size, side: 54))
      let square = contract.augmentedSquare(of: photo, draw: draw)
      let expected = image.resized(
        to: image.size, interpolation: .bilinear, box: boxes[index % 4])
      let turned = index < 4 ? expected : expected.applying(.flipHorizontal)
      #expect(largestDifference(square, turned) <= 1)
    }
  }

  @Test func cornersTakeTheColoursButNotTheGeometryOfTheAugmentation() throws {
    let size = PixelSize(width: 64, height: 64)
    let variant = TestTimeAugmentation.corners(colors: .photo, seed: 3)
    let draws = try variant.views.dropFirst().map {
      try #require($0.draw(sample: 1, size: size, side: 64))
    }
    #expect(Set(draws.map(\.color)).count == 8)
    #expect(draws.allSatisfy { $0.crop == nil && $0.affine.rotationDegrees == 0 })
    #expect(Set(variant.views.map(\.name)).count == 9)
    #expect(
      TestTimeAugmentation.corners().views[1].name == "top-left-magnified-1.35")
  }

  @Test func viewsArePreparedFromOneFile() throws {
    let bytes = try ImageFixtures.bytes("jpeg/baseline-444.jpg")
    let contract = Preprocessing.torch(inputSize: 16)
    let variant = TestTimeAugmentation.blend(of: .photo, seed: 9, count: 2)
    var output = [Float](repeating: .nan, count: 3 * contract.elementCount)
    var single = [Float](repeating: .nan, count: contract.elementCount)
    for index in 0..<3 {
      try bytes.withUnsafeBytes { raw in
        _ = try output.withUnsafeMutableBufferPointer {
          try contract.prepare(raw, testTimeViews: variant.views, sample: 4, into: $0)
        }
        _ = try single.withUnsafeMutableBufferPointer {
          index == 0
            ? try contract.prepare(raw, into: $0)
            : try contract.prepareAugmented(
              raw, augmentation: .photo, seed: 9, epoch: index - 1, sample: 4, into: $0)
        }
      }
      #expect(Array(output[(index * single.count)..<((index + 1) * single.count)]) == single)
    }
  }

  @Test func contactSheetPutsThePlainSquareFirstAndLeavesGaps() throws {
    let bytes = try ImageFixtures.bytes("jpeg/baseline-444.jpg")
    let contract = Preprocessing.torch(inputSize: 16)
    let sheet = ContactSheet(contract, augmentation: .photo, seed: 2, draws: 3, gap: 2)
    let rows = try (0..<2).map { sample in
      try bytes.withUnsafeBytes { try sheet.row($0, sample: sample) }
    }
    let image = sheet.image(rows: rows)
    #expect(image.size == PixelSize(width: 4 * 18 + 2, height: 2 * 18 + 2))
    #expect(image.size == sheet.size(rows: 2))
    let plain = contract.square(of: try ImageDecoder.decode(bytes))
    for row in 0..<2 {
      for column in 0..<4 {
        let square = PixelRectangle(
          x: 2 + column * 18, y: 2 + row * 18, size: PixelSize(width: 16, height: 16))
        #expect(image.cropped(to: square) == (column == 0 ? plain : rows[row][column]))
      }
    }
    #expect(rows[0][1] != rows[1][1] && rows[0][1] != rows[0][2])
    for x in 0..<image.width { #expect(image[x, 0] == .white && image[x, 19] == .white) }
    for y in 0..<image.height { #expect(image[1, y] == .white && image[19, y] == .white) }
  }
}
