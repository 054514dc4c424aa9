// SPDX-License-Identifier: Apache-2.0

/// A projective map of the plane, used from output to input: where in the photo an output pixel is
/// read.
///
///     (x, y) -> ((xx * x + xy * y + x0) / d, (yx * x + yy * y + y0) / d)
///     d = px * x + py * y + p0
///
/// Coordinates are edges: pixel (0, 0) covers 0 to 1 and its centre is (0.5, 0.5), so maps between
/// images of different size need no half-pixel corrections.
package struct ProjectiveMap: Hashable, Sendable {
  /// First row of the matrix.
  package var xx, xy, x0: Double
  /// Second row.
  package var yx, yy, y0: Double
  /// Third row; (0, 0, 1) for an affine map.
  package var px, py, p0: Double

  /// A map from the nine numbers of its matrix, row by row; by default affine.
  package init(
    _ xx: Double, _ xy: Double, _ x0: Double, _ yx: Double, _ yy: Double, _ y0: Double,
    _ px: Double = 0, _ py: Double = 0, _ p0: Double = 1
  ) {
    (self.xx, self.xy, self.x0) = (xx, xy, x0)
    (self.yx, self.yy, self.y0) = (yx, yy, y0)
    (self.px, self.py, self.p0) = (px, py, p0)
  }

  /// Leaves every point where it is.
  package static let identity = ProjectiveMap(1, 0, 0, 0, 1, 0)

  /// Adds (`x`, `y`).
  package static func translation(x: Double, y: Double) -> ProjectiveMap {
    ProjectiveMap(1, 0, x, 0, 1, y)
  }

  /// Multiplies by (`x`, `y`).
  package static func scaling(x: Double, y: Double) -> ProjectiveMap {
    ProjectiveMap(x, 0, 0, 0, y, 0)
  }

  /// Whether no division is needed.
  package var isAffine: Bool { px == 0 && py == 0 && p0 == 1 }

  /// Whether rows stay rows and columns stay columns, unmirrored.
  package var isAxisAligned: Bool { isAffine && xy == 0 && yx == 0 && xx > 0 && yy > 0 }

  /// Where (`x`, `y`) goes. Points on the vanishing line go to infinity.
  package func callAsFunction(x: Double, y: Double) -> (x: Double, y: Double) {
    let d = px * x + py * y + p0
    return ((xx * x + xy * y + x0) / d, (yx * x + yy * y + y0) / d)
  }

  /// This map after `first`.
  package func after(_ first: ProjectiveMap) -> ProjectiveMap {
    let f = first
    func row(_ a: Double, _ b: Double, _ c: Double) -> (Double, Double, Double) {
      (
        a * f.xx + b * f.yx + c * f.px, a * f.xy + b * f.yy + c * f.py,
        a * f.x0 + b * f.y0 + c * f.p0
      )
    }
    let (x, y, p) = (row(xx, xy, x0), row(yx, yy, y0), row(px, py, p0))
    return ProjectiveMap(x.0, x.1, x.2, y.0, y.1, y.2, p.0, p.1, p.2)
  }

  /// The same motion about (`x`, `y`) instead of the origin.
  package func about(x: Double, y: Double) -> ProjectiveMap {
    ProjectiveMap.translation(x: x, y: y).after(self).after(.translation(x: -x, y: -y))
  }

  /// The opposite map; traps on a singular matrix.
  package var inverse: ProjectiveMap {
    // The adjugate: a projective map does not change when its matrix is scaled.
    let m = ProjectiveMap(
      yy * p0 - y0 * py, x0 * py - xy * p0, xy * y0 - x0 * yy,
      y0 * px - yx * p0, xx * p0 - x0 * px, x0 * yx - xx * y0,
      yx * py - yy * px, xy * px - xx * py, xx * yy - xy * yx)
    precondition(m.p0 != 0, "The map \(self) has no inverse that keeps the origin in the plane.")
    return ProjectiveMap(
      m.xx / m.p0, m.xy / m.p0, m.x0 / m.p0, m.yx / m.p0, m.yy / m.p0, m.y0 / m.p0,
      m.px / m.p0, m.py / m.p0, 1)
  }

  /// How many input columns and rows a small disc of one output pixel at (`x`, `y`) extends over.
  func inputExtent(x: Double, y: Double) -> (x: Double, y: Double) {
    let d = px * x + py * y + p0
    let at = self(x: x, y: y)
    let (xx, xy) = ((xx - at.x * px) / d, (xy - at.x * py) / d)
    let (yx, yy) = ((yx - at.y * px) / d, (yy - at.y * py) / d)
    return ((xx * xx + xy * xy).squareRoot(), (yx * yx + yy * yy).squareRoot())
  }

  /// The perspective of a photo seen from the side, on the square -1 to 1, from output to input.
  ///
  /// The input's corners (-1, -1), (-1, 1), (1, -1), (1, 1) appear at (-1-v, -1-h), (-1+v, 1+h),
  /// (1+v, -1+h), (1-v, 1-h) with h = `horizontal`, v = `vertical`: a positive h enlarges the left
  /// side, a positive v the upper one.
  ///
  /// - Source: fastai 2 `Warp` (vision/augment.py), whose draw_x is h and draw_y is v. Solving its
  ///   eight equations by hand gives the matrix below from input to output.
  package static func perspective(horizontal h: Double, vertical v: Double) -> ProjectiveMap {
    ProjectiveMap(1 - v * v, -h * v, h, -h * v, 1 - h * h, v, h, v, 1).inverse
  }
}
