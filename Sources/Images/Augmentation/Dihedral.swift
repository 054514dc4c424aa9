// SPDX-License-Identifier: Apache-2.0

/// The eight symmetries of a square: what may be done to a photo taken from above.
package enum Dihedral: String, Codable, Hashable, Sendable, CaseIterable {
  /// Nothing.
  case identity
  /// Mirror left and right.
  case flipHorizontal = "flip-horizontal"
  /// Mirror top and bottom.
  case flipVertical = "flip-vertical"
  /// Turn by 180 degrees.
  case rotate180 = "rotate-180"
  /// Mirror along the main diagonal.
  case transpose
  /// Turn by 90 degrees clockwise.
  case rotateClockwise = "rotate-90"
  /// Turn by 90 degrees counter-clockwise.
  case rotateCounterclockwise = "rotate-270"
  /// Mirror along the other diagonal.
  case transverse

  /// The same motion of pixels as an EXIF orientation undoes.
  var orientation: ImageOrientation {
    switch self {
    case .identity: .upright
    case .flipHorizontal: .mirrored
    case .flipVertical: .flipped
    case .rotate180: .upsideDown
    case .transpose: .transposed
    case .rotateClockwise: .rotatedClockwise
    case .rotateCounterclockwise: .rotatedCounterclockwise
    case .transverse: .transversed
    }
  }

  /// Horizontal and vertical flip as one symmetry.
  package init(horizontal: Bool, vertical: Bool) {
    self =
      switch (horizontal, vertical) {
      case (false, false): .identity
      case (true, false): .flipHorizontal
      case (false, true): .flipVertical
      case (true, true): .rotate180
      }
  }
}

extension RGBImage {
  /// The image turned or mirrored, exactly: pixels move and are not resampled.
  package func applying(_ symmetry: Dihedral) -> RGBImage { oriented(symmetry.orientation) }
}
