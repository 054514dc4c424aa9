// SPDX-License-Identifier: Apache-2.0

import Foundation
import Testing
import ThawImages

@Suite struct ViewTests {
  @Test func listsAreDeterministicAndBeginWithTheCentre() {
    #expect(View.testTimeViews(count: 1) == [.center])
    #expect(View.testTimeViews(count: 2) == [.center, .flippedCenter])
    #expect(
      View.testTimeViews(count: 5).map(\.name)
        == ["center", "top-left", "top-right", "bottom-left", "bottom-right"])
    let ten = View.testTimeViews(count: 10)
    #expect(
      Set(ten)
        == Set(
          View.testTimeViews(count: 5).flatMap { view in
            [view, View(anchor: view.anchor, isFlipped: true)]
          }))
    for count in 1...37 {
      let views = View.testTimeViews(count: count)
      #expect(views.count == count && Set(views).count == count && views[0] == .center)
      #expect(Set(views.map(\.name)).count == count)
    }
    #expect(View.testTimeViews(count: 12)[11].name == "center-flipped-zoom1")
  }

  @Test func viewsSurviveJSON() throws {
    let views = View.testTimeViews(count: 13)
    #expect(try JSONDecoder().decode([View].self, from: JSONEncoder().encode(views)) == views)
  }

  @Test func cornersTouchTheEdgesAtTheContractsScale() {
    let contract = Preprocessing.efficientNetLite()
    let size = PixelSize(width: 500, height: 375)
    let expected: [(View.Anchor, Int, Int)] = [
      (.topLeft, 0, 0), (.topRight, 117, 0), (.bottomLeft, 0, 32), (.bottomRight, 117, 32),
    ]
    for (anchor, x, y) in expected {
      let (resized, crop) = contract.geometry(of: size, view: .crop(anchor, flipped: false))
      #expect(resized == PixelSize(width: 341, height: 256))
      #expect(crop.x == x && crop.y == y && crop.fits(in: resized))
    }
  }

  @Test func cornersDifferEvenWhenTheContractLeavesNoRoom() {
    let contract = Preprocessing(
      inputSize: 224, scale: 1, mean: [0, 0, 0], std: [1, 1, 1], cropFraction: 1,
      resizeRule: .squash)
    let size = PixelSize(width: 300, height: 100)
    let center = contract.geometry(of: size)
    #expect(center.resized == PixelSize(width: 224, height: 224) && center.crop.x == 0)
    let corner = contract.geometry(of: size, view: .crop(.bottomRight, flipped: true))
    #expect(corner.resized == PixelSize(width: 256, height: 256) && corner.crop.x == 32)
  }

  @Test func zoomEnlargesByFifteenPercentAStep() {
    let contract = Preprocessing.efficientNetLite()
    let size = PixelSize(width: 400, height: 400)
    let sides = (0...2).map {
      contract.geometry(of: size, view: View(anchor: .center, isFlipped: false, zoom: $0))
        .resized.width
    }
    #expect(sides == [256, 294, 332])
  }

  @Test func aFlippedViewIsTheMirrorImage() {
    let contract = Preprocessing.torch(inputSize: 16)
    let image = ImageFixtures.pattern(30, 20)
    var plain = [Float](repeating: .nan, count: contract.elementCount)
    var flipped = plain
    plain.withUnsafeMutableBufferPointer { contract.preprocess(image, into: $0) }
    flipped.withUnsafeMutableBufferPointer {
      contract.preprocess(image, view: .flippedCenter, into: $0)
    }
    #expect(plain != flipped)
    #expect(plain == plain.indices.map { flipped[$0 / 16 * 16 + 15 - $0 % 16] })
  }
}
