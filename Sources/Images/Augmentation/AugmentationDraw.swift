// SPDX-License-Identifier: Apache-2.0

/// A rectangle in fractions of an image: (0, 0, 1, 1) is all of it.
package struct FractionalBox: Codable, Hashable, Sendable {
  /// Left edge.
  package var left: Double
  /// Upper edge.
  package var top: Double
  /// Extent to the right.
  package var width: Double
  /// Extent downwards.
  package var height: Double

  /// A box.
  package init(left: Double, top: Double, width: Double, height: Double) {
    self.left = left
    self.top = top
    self.width = width
    self.height = height
  }
}

/// What one photo drew: every number that its augmented square depends on. By default nothing.
package struct AugmentationDraw: Codable, Hashable, Sendable {
  /// The part of the photo that fills the square; nil for the contract's centre crop.
  package var crop: FractionalBox?
  /// Perspective between the left and right side, see ``Augmentation/warp``.
  package var horizontalWarp = 0.0
  /// Perspective between the upper and lower side.
  package var verticalWarp = 0.0
  /// Rotation, shift (in pixels of the square), shear and zoom.
  package var affine = AffineDraw()
  /// Arithmetic of `affine`.
  package var affineSemantics = AffineSemantics.exact
  /// Turn and mirror image, last.
  package var symmetry = Dihedral.identity
  /// What lies beyond the photo.
  package var fill = FillMode.nearest
  /// Colour for ``FillMode/constant``.
  package var fillColor = RGBColor.black
  /// Changes of colour.
  package var color = ColorDraw()
  /// Rectangles of the square that are painted over.
  package var erasures: [FractionalBox] = []

  /// Nothing drawn: the plain square.
  package init() {}

  /// Whether the square is the contract's own, perhaps turned.
  var keepsFrame: Bool { crop == nil && isFlat && affine.isIdentity }

  /// Whether there is no perspective.
  var isFlat: Bool { horizontalWarp == 0 && verticalWarp == 0 }

  /// From the output square's edge coordinates to those of the frame, both of `side`, before
  /// turning.
  func map(side: Int) -> ProjectiveMap {
    let square = PixelSize(width: side, height: side)
    let moved = affine.map(affineSemantics, size: square)
    if isFlat { return moved }
    let half = Double(side) / 2
    let warp = ProjectiveMap.perspective(horizontal: horizontalWarp, vertical: verticalWarp)
    let scaled = ProjectiveMap.scaling(x: half, y: half).after(warp)
      .after(.scaling(x: 1 / half, y: 1 / half))
    return scaled.about(x: half, y: half).after(moved)
  }
}
