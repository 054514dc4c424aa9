// SPDX-License-Identifier: Apache-2.0

import Glibc

/// Whose arithmetic turns a rotation, a shift, a shear and a zoom into a matrix.
///
/// All three apply, from output to input on (row, column), shift after shear after zoom and before
/// rotation: `C * R * S * H * Z * C^-1`. They differ in the fixed point C and in which axis is
/// which.
package enum AffineSemantics: String, Codable, Hashable, Sendable, CaseIterable {
  /// The fixed point is the centre: (size - 1) / 2 in pixel indices.
  case exact
  /// Keras 2.1 to keras-preprocessing of October 2020: C = size / 2 + 0.5, one pixel off the
  /// centre.
  case kerasBefore2020 = "keras-before-2020"
  /// Since then: C = size / 2 - 0.5, then rows and columns change places. Rotation turns the other
  /// way, the row shift moves columns, and a photo that is not square turns about the transposed
  /// centre.
  case kerasSince2020 = "keras-since-2020"
}

/// The numbers of one affine distortion; by default none.
package struct AffineDraw: Codable, Hashable, Sendable {
  /// Turns the content clockwise (counter-clockwise with ``AffineSemantics/kerasSince2020``).
  package var rotationDegrees = 0.0
  /// Rows between an output pixel and the place it is read: positive moves the content up.
  package var rowShift = 0.0
  /// Columns likewise: positive moves the content to the left.
  package var columnShift = 0.0
  /// Shear angle: columns are read from rows displaced by sin(angle) a column, at cos(angle) the
  /// spacing (Keras's matrix).
  package var shearDegrees = 0.0
  /// Rows read for one output row: below 1 magnifies.
  package var rowZoom = 1.0
  /// Columns read for one output column.
  package var columnZoom = 1.0

  /// No distortion.
  package init() {}

  /// Whether nothing moves.
  package var isIdentity: Bool { self == AffineDraw() }

  /// The matrix from output to input on (row, column) indices, pixel centres being whole numbers:
  /// what Keras hands to `scipy.ndimage.affine_transform`.
  ///
  /// The result's x is the row and its y the column. Identity parts give exactly the identity.
  ///
  /// - Source: keras 2.1.6 `preprocessing/image.py` and keras-preprocessing 1.1.3
  ///   `affine_transformations.py`, `apply_affine_transform`.
  package func indexMatrix(_ semantics: AffineSemantics, rows: Int, columns: Int) -> ProjectiveMap {
    if isIdentity { return .identity }
    let (theta, shear) = (rotationDegrees * .pi / 180, shearDegrees * .pi / 180)
    let zoom = ProjectiveMap.scaling(x: rowZoom, y: columnZoom)
    let sheared = ProjectiveMap(1, -sin(shear), 0, 0, cos(shear), 0).after(zoom)
    let shifted = ProjectiveMap.translation(x: rowShift, y: columnShift).after(sheared)
    let rotated = ProjectiveMap(cos(theta), -sin(theta), 0, sin(theta), cos(theta), 0)
      .after(shifted)
    let offset = semantics == .kerasBefore2020 ? 0.5 : -0.5
    let matrix = rotated.about(x: Double(rows) / 2 + offset, y: Double(columns) / 2 + offset)
    return semantics == .kerasSince2020 ? matrix.axesSwapped : matrix
  }

  /// The same matrix on (x, y) edge coordinates.
  func map(_ semantics: AffineSemantics, size: PixelSize) -> ProjectiveMap {
    if isIdentity { return .identity }
    return indexMatrix(semantics, rows: size.height, columns: size.width)
      .axesSwapped.about(x: 0.5, y: 0.5)
  }
}

extension ProjectiveMap {
  /// The map with x and y exchanged on both sides.
  var axesSwapped: ProjectiveMap { ProjectiveMap(yy, yx, y0, xy, xx, x0, py, px, p0) }
}
