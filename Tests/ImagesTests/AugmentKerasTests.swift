// SPDX-License-Identifier: Apache-2.0

import Testing
import ThawImages
import ThawTestSupport

/// Numbers of `Tools/augment_goldens.py` unless derived in place.
@Suite struct AugmentKerasTests {
  private func numbers(_ map: ProjectiveMap) -> [Double] {
    [map.xx, map.xy, map.x0, map.yx, map.yy, map.y0]
  }

  private func draw(rowShift: Double, isFull: Bool = true) -> AffineDraw {
    var draw = AffineDraw()
    draw.rowShift = rowShift
    if isFull {
      draw.rotationDegrees = 30
      draw.columnShift = -2
      draw.shearDegrees = 10
      (draw.rowZoom, draw.columnZoom) = (0.9, 1.2)
    }
    return draw
  }

  @Test func matrixBeforeOctober2020() {
    let matrix = draw(rowShift: 3).indexMatrix(.kerasBefore2020, rows: 10, columns: 30)
    let expected = [
      0.779422863406, -0.771345131624, 16.76710000279, 0.45, 0.919253331743, -1.455477449582,
    ]
    expectClose(numbers(matrix), expected, relative: 1e-10)
  }

  @Test func matrixSinceOctober2020() {
    let matrix = draw(rowShift: 3).indexMatrix(.kerasSince2020, rows: 10, columns: 30)
    let expected = [
      0.919253331743, 0.45, -1.086224117839, -0.771345131624, 0.779422863406, 15.775177734572,
    ]
    expectClose(numbers(matrix), expected, relative: 1e-10)
  }

  @Test func onlyTheAxesAndTheFixedPointDiffer() {
    let shift = draw(rowShift: 3, isFull: false)
    for (semantics, offset) in [
      (AffineSemantics.kerasBefore2020, (3.0, 0.0)), (.kerasSince2020, (0, 3)), (.exact, (3, 0)),
    ] {
      let matrix = shift.indexMatrix(semantics, rows: 10, columns: 30)
      expectClose([matrix.x0, matrix.y0], [offset.0, offset.1], absolute: 1e-12)
    }
    var turn = AffineDraw()
    turn.rotationDegrees = 30
    let old = turn.indexMatrix(.kerasBefore2020, rows: 10, columns: 30)
    let new = turn.indexMatrix(.kerasSince2020, rows: 10, columns: 30)
    let (c, s) = (0.8660254037844387, 0.5)
    expectClose([old.xx, old.xy, old.yx, old.yy], [c, -s, s, c], relative: 1e-12)
    expectClose([new.xx, new.xy, new.yx, new.yy], [c, s, -s, c], relative: 1e-12)
    for (matrix, row, column) in [
      (old, 5.5, 15.5), (new, 14.5, 4.5),
      (turn.indexMatrix(.exact, rows: 10, columns: 30), 4.5, 14.5),
    ] {
      let fixed = matrix(x: row, y: column)
      expectClose([fixed.x, fixed.y], [row, column], relative: 1e-12)
    }
    #expect(AffineDraw().indexMatrix(.kerasBefore2020, rows: 10, columns: 30) == .identity)
  }

  private static let pixels: [(AffineSemantics, FillMode, [Double])] = [
    (
      .kerasBefore2020, .nearest,
      [
        199.0, 159.543, 89.351, 29.908, 161.59, 97.493, 199.0, 199.0, 160.278, 123.165, 93.765,
        60.11, 199.0, 199.0, 210.132, 198.644, 190.235, 157.688, 199.0, 199.0, 233.532, 132.002,
        137.605, 168.896, 199.0, 209.13, 227.73, 48.733, 96.534, 116.324, 199.0, 232.53, 135.93,
        72.133, 119.934, 167.735,
      ]
    ),
    (
      .kerasBefore2020, .reflect,
      [
        144.015, 190.226, 89.351, 29.908, 161.59, 97.493, 227.007, 207.07, 160.278, 123.165,
        93.765, 60.11, 148.201, 187.602, 210.132, 198.644, 190.235, 157.688, 54.676, 116.674,
        221.133, 132.002, 137.605, 168.896, 92.148, 54.893, 168.273, 71.203, 96.534, 116.324,
        160.627, 122.246, 118.403, 217.21, 127.667, 167.735,
      ]
    ),
    (
      .kerasSince2020, .nearest,
      [
        160.796, 185.0, 185.0, 185.0, 185.0, 170.778, 132.256, 161.095, 185.0, 167.89, 100.39,
        36.491, 103.716, 146.12, 168.054, 38.532, 86.232, 133.932, 133.684, 195.217, 157.114,
        116.623, 183.673, 231.373, 156.085, 18.19, 89.184, 169.494, 169.52, 131.226, 130.9, 85.422,
        144.34, 225.758, 129.673, 138.907,
      ]
    ),
    (
      .kerasSince2020, .reflect,
      [
        166.457, 79.222, 146.722, 159.688, 130.85, 111.424, 156.256, 161.095, 185.0, 167.89,
        173.559, 229.963, 103.716, 146.12, 168.054, 38.532, 86.232, 115.914, 133.684, 195.217,
        157.114, 116.623, 183.673, 231.373, 156.085, 18.19, 89.184, 169.494, 169.52, 131.226,
        130.9, 85.422, 144.34, 225.758, 129.673, 138.907,
      ]
    ),
  ]

  @Test(arguments: pixels)
  func pixelsEqualThoseOfScipy(
    _ semantics: AffineSemantics, _ fill: FillMode, _ expected: [Double]
  ) throws {
    var all = AugmentationDraw()
    all.affine = draw(rowShift: 1)
    all.affineSemantics = semantics
    all.fill = fill
    let square = identityContract(6).augmentedSquare(
      of: try decoded(ImageFixtures.pattern(6, 6)), draw: all)
    for index in 0..<36 {
      #expect(abs(Double(square.pixels[index * 3]) - expected[index]) < 0.85, "pixel \(index)")
    }
  }
}
