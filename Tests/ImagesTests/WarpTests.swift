// SPDX-License-Identifier: Apache-2.0

import Testing
import ThawImages
import ThawTestSupport

@Suite struct WarpTests {
  private static let maps: [ProjectiveMap] = [
    .identity,
    .translation(x: 3.25, y: -2.5),
    ProjectiveMap(0.7, 0, 5, 0, 0.6, 4),
    ProjectiveMap(0.8, -0.6, 9, 0.6, 0.8, -7),
    ProjectiveMap(1.4, 0.3, -12, -0.2, 1.5, -9),
    ProjectiveMap(0.9, 0.1, 1, -0.1, 0.8, 2, 0.004, -0.006, 1),
    ProjectiveMap(1, 0, -60, 0, 1, 90),
  ]

  @Test(arguments: FillMode.allCases, maps)
  func everySampleIsWithinOneLevelOfExactArithmetic(_ fill: FillMode, _ map: ProjectiveMap) {
    let image = ImageFixtures.pattern(23, 17)
    let color = RGBColor(red: 9, green: 120, blue: 240)
    let target = PixelSize(width: 31, height: 29)
    let output = image.warped(by: map, to: target, fill: fill, fillColor: color)
    let reference = WarpReference(image: image, fill: fill, color: color)
    let exact = reference.sampled(31, 29) { x, y in
      let at = map(x: x + 0.5, y: y + 0.5)
      return (at.x - 0.5, at.y - 0.5)
    }
    // Measured: 0.75. Weights in steps of 1/2048 cost up to a quarter, rounding a half.
    #expect(largestDifference(output, exact) < 0.85)
  }

  @Test func identityMapCopiesEveryPixel() {
    let image = ImageFixtures.pattern(13, 9)
    for fill in FillMode.allCases {
      #expect(image.warped(by: .identity, to: image.size, fill: fill) == image)
    }
  }

  private static let rows: [(FillMode, [UInt8])] = [
    (.nearest, [10, 10, 10, 10, 10, 10, 20, 30, 40, 40, 40, 40, 40, 40]),
    (.constant, [7, 7, 7, 7, 7, 10, 20, 30, 40, 7, 7, 7, 7, 7]),
    (.reflect, [40, 40, 30, 20, 10, 10, 20, 30, 40, 40, 30, 20, 10, 10]),
    (.reflect101, [20, 10, 20, 30, 40, 30, 20, 10, 20, 30, 40, 30, 20, 10]),
    (.wrap, [40, 10, 20, 30, 40, 10, 20, 30, 40, 10, 20, 30, 40, 10]),
  ]

  @Test(arguments: rows)
  func fillModesContinueTheRowAsDrawn(_ fill: FillMode, _ expected: [UInt8]) {
    // Position -5 comes first; reflect101's row is shifted by two to show both bends.
    let line: [UInt8] = [10, 20, 30, 40]
    let start = fill == .reflect101 ? -7 : -5
    let gray = RGBColor(red: 7, green: 7, blue: 7)
    for isColumn in [false, true] {
      let size = PixelSize(width: isColumn ? 1 : 4, height: isColumn ? 4 : 1)
      let image = RGBImage(size: size, pixels: line.flatMap { [$0, $0, $0] })
      let target = PixelSize(width: isColumn ? 1 : 14, height: isColumn ? 14 : 1)
      let shift = Double(start)
      let map = ProjectiveMap.translation(x: isColumn ? 0 : shift, y: isColumn ? shift : 0)
      let output = image.warped(by: map, to: target, fill: fill, fillColor: gray)
      #expect((0..<14).map { output.pixels[$0 * 3] } == expected)
      #expect((0..<14).map { output.pixels[$0 * 3 + 2] } == expected)
    }
  }

  @Test(arguments: FillMode.allCases)
  func sourceRangesHoldEveryPositionThatIsRead(_ fill: FillMode) {
    for count in 1...6 {
      for low in -20...20 {
        for high in low...22 {
          let range = fill.sources(of: low...high, count: count)
          #expect(range.lowerBound >= 0 && range.upperBound < count)
          let read = (low...high).compactMap { fill.source(of: $0, count: count) }
          #expect(read.allSatisfy { range.contains($0) }, "\(fill) \(low)...\(high) of \(count)")
        }
      }
    }
  }

  @Test func pointsBehindTheViewerAreFilledAndDoNotTrap() {
    let image = ImageFixtures.pattern(8, 8)
    let map = ProjectiveMap(1, 0, 0, 0, 1, 0, -0.5, 0, 1)
    let size = PixelSize(width: 8, height: 8)
    let red = RGBColor(red: 255, green: 0, blue: 0)
    let output = image.warped(by: map, to: size, fill: .constant, fillColor: red)
    #expect(output[7, 3] == red)
    let broken = ProjectiveMap(.nan, 0, 0, 0, .infinity, 0)
    #expect(image.warped(by: broken, to: size, fill: .constant, fillColor: red)[0, 0] == red)
  }

  @Test func symmetriesAreTheGroupOfTheSquare() {
    let image = ImageFixtures.pattern(3, 3)
    let turned = Dihedral.allCases.map { image.applying($0) }
    #expect(Set(turned).count == 8)
    for first in turned {
      for second in Dihedral.allCases { #expect(turned.contains(first.applying(second))) }
    }
    for symmetry in Dihedral.allCases {
      #expect(Dihedral.allCases.contains { image.applying(symmetry).applying($0) == image })
    }
    let quarter = image.applying(.rotateClockwise)
    #expect(quarter[2, 0] == image[0, 0] && quarter[2, 2] == image[2, 0])
    #expect(quarter.applying(.rotateCounterclockwise) == image)
    #expect(image.applying(.flipHorizontal)[0, 1] == image[2, 1])
    #expect(image.applying(.flipVertical)[1, 0] == image[1, 2])
    #expect(image.applying(.transpose)[2, 1] == image[1, 2])
    #expect(Dihedral(horizontal: true, vertical: true) == .rotate180)
  }

  @Test func inverseUndoesAMap() {
    for map in Self.maps {
      let both = map.inverse.after(map)
      for (x, y) in [(0.0, 0.0), (3.0, 7.0), (-2.0, 11.0)] {
        let point = both(x: x, y: y)
        expectClose([point.x, point.y], [x, y], relative: 1e-9, absolute: 1e-9)
      }
    }
  }

  @Test func perspectiveEqualsFastaisEightEquations() {
    // numpy.linalg.solve of the equations for h = 0.2, v = -0.1.
    let map = ProjectiveMap.perspective(horizontal: 0.2, vertical: -0.1)
    let middle = map(x: 0, y: 0)
    expectClose(
      [middle.x, middle.y], [-0.2042105263157894, 0.10842105263157897], relative: 1e-12)
    let other = map(x: 0.5, y: -0.25)
    expectClose(
      [other.x, other.y], [0.35176790571169536, -0.18676337262012685], relative: 1e-12)
    let corner = map(x: -1 + 0.1, y: -1 - 0.2)
    expectClose([corner.x, corner.y], [-1, -1], relative: 1e-12)
  }
}
