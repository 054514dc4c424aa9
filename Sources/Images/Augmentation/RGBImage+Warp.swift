// SPDX-License-Identifier: Apache-2.0

extension RGBImage {
  /// The image under a projective map: each output pixel is the bilinear mix of the four input
  /// pixels around the point its centre is mapped to.
  ///
  /// Positions and weights are in steps of 1/2048 of a pixel, which keeps every sample within one
  /// level of exact arithmetic; integers after that, so the result does not depend on the
  /// processor. Nothing is smoothed: when the map shrinks by more than about 1.5 the image should
  /// be resized first (``Preprocessing/augmentedSquare(of:draw:)`` does). Points behind the viewer
  /// of a perspective are filled as if very far away.
  ///
  /// - Parameters:
  ///   - map: from the output's edge coordinates to this image's.
  ///   - target: extent of the output.
  ///   - fill: what lies beyond the image.
  ///   - fillColor: for ``FillMode/constant``; it is blended with the outermost half pixel.
  package func warped(
    by map: ProjectiveMap, to target: PixelSize, fill: FillMode = .nearest,
    fillColor: RGBColor = .black
  ) -> RGBImage {
    WarpSource(image: self).warped(by: map, to: target, fill: fill, fillColor: fillColor)
  }
}

/// A photo of which perhaps only the needed part is in memory.
struct WarpSource {
  /// The part in memory.
  let image: RGBImage
  /// Position of its first pixel in the photo.
  let x, y: Int
  /// Extent of the whole photo: where filling begins.
  let size: PixelSize

  /// All of an image.
  init(image: RGBImage) { self.init(image: image, x: 0, y: 0, size: image.size) }

  /// The part of a photo of `size` that begins at (`x`, `y`).
  init(image: RGBImage, x: Int, y: Int, size: PixelSize) {
    self.image = image
    self.x = x
    self.y = y
    self.size = size
  }

  /// See ``RGBImage/warped(by:to:fill:fillColor:)``.
  func warped(
    by map: ProjectiveMap, to target: PixelSize, fill: FillMode, fillColor: RGBColor
  ) -> RGBImage {
    RGBImage(size: target) { output in
      image.pixels.withUnsafeBufferPointer { input in
        guard let pixels = input.baseAddress, var out = output.baseAddress else { return }
        let sampler = WarpSampler(
          pixels: pixels, count: input.count, width: image.width, height: image.height, x: x, y: y,
          size: size, fill: fill, fillColor: fillColor)
        for row in 0..<target.height {
          sampler.row(map, y: Double(row) + 0.5, count: target.width, into: out)
          out += target.width * 3
        }
      }
    }
  }
}
