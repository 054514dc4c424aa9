// SPDX-License-Identifier: Apache-2.0

/// How a stored image must be turned to be upright: the eight values of the EXIF tag.
///
/// - Source: EXIF 2.32, tag 0x0112.
package enum ImageOrientation: Int, Sendable, CaseIterable {
  /// As stored.
  case upright = 1
  /// Mirror left and right.
  case mirrored
  /// Turn by 180 degrees.
  case upsideDown
  /// Mirror top and bottom.
  case flipped
  /// Mirror along the main diagonal (transpose).
  case transposed
  /// Turn by 90 degrees clockwise.
  case rotatedClockwise
  /// Mirror along the other diagonal.
  case transversed
  /// Turn by 90 degrees counter-clockwise.
  case rotatedCounterclockwise

  /// Whether width and height change places.
  package var swapsSides: Bool { rawValue >= 5 }
}

extension RGBImage {
  /// The upright image, for an image stored with `orientation`.
  package func oriented(_ orientation: ImageOrientation) -> RGBImage {
    guard orientation != .upright else { return self }
    // Position in the stored image of the upper left upright pixel, and the step in stored pixels for
    // one upright pixel to the right and one down.
    let (start, right, down): (Int, Int, Int) =
      switch orientation {
      case .upright: (0, 1, width)
      case .mirrored: (width - 1, -1, width)
      case .upsideDown: (width * height - 1, -1, -width)
      case .flipped: ((height - 1) * width, 1, -width)
      case .transposed: (0, width, 1)
      case .rotatedClockwise: ((height - 1) * width, -width, 1)
      case .transversed: (width * height - 1, -width, -1)
      case .rotatedCounterclockwise: (width - 1, width, -1)
      }
    let target = orientation.swapsSides ? size.transposed : size
    return RGBImage(size: target) { output in
      pixels.withUnsafeBufferPointer { input in
        var at = 0
        for y in 0..<target.height {
          var from = (start + y * down) * 3
          for _ in 0..<target.width {
            output[at] = input[from]
            output[at + 1] = input[from + 1]
            output[at + 2] = input[from + 2]
            at += 3
            from += right * 3
          }
        }
      }
    }
  }
}
