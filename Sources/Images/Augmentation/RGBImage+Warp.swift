// SPDX-License-Identifier: Apache-2.0

extension RGBImage {
  /// The image under a projective map: each output pixel is the bilinear mix of the four input
  /// pixels around the point its centre is mapped to.
  ///
  /// Positions and weights are in steps of 1/2048 of a pixel, which keeps every sample within one
  /// level of exact arithmetic; integers after that, so the result does not depend on the processor.
  /// Nothing is smoothed: when the map shrinks by more than about 1.5 the image should be resized
  /// first (``Preprocessing/augmentedSquare(of:draw:)`` does). Points behind the viewer of a
  /// perspective are filled as if very far away.
  ///
  /// - Parameters:
  ///   - map: from the output's edge coordinates to this image's.
  ///   - target: extent of the output.
  ///   - fill: what lies beyond the image.
  ///   - fillColor: for ``FillMode/constant``; it is blended with the outermost half pixel.
  public func warped(
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

  // A position in steps of 1/2048 pixel; the bias makes truncation a floor.
  private static let one = 2048
  private static let farthest = 1e6
  private static let bias = 1 << 32

  @inline(__always)
  private static func fixed(_ coordinate: Double) -> Int {
    let bounded = min(max(coordinate - 0.5, -farthest), farthest)
    return Int(bounded * Double(one) + (Double(bias) + 0.5)) - bias
  }

  /// See ``RGBImage/warped(by:to:fill:fillColor:)``.
  func warped(
    by map: ProjectiveMap, to target: PixelSize, fill: FillMode, fillColor: RGBColor
  ) -> RGBImage {
    let (width, height) = (image.width, image.height)
    let constant = [fillColor.red, fillColor.green, fillColor.blue]
    return RGBImage(size: target) { output in
      image.pixels.withUnsafeBufferPointer { input in
        guard let source = input.baseAddress, var out = output.baseAddress else { return }
        for row in 0..<target.height {
          let v = Double(row) + 0.5
          let (rowX, rowY) = (map.xy * v + map.x0, map.yy * v + map.y0)
          let rowD = map.py * v + map.p0
          for column in 0..<target.width {
            let u = Double(column) + 0.5
            var (px, py) = (map.xx * u + rowX, map.yx * u + rowY)
            if !map.isAffine {
              let scale = 1 / max(map.px * u + rowD, 1e-9)
              px *= scale
              py *= scale
            }
            let (fx, fy) = (WarpSource.fixed(px), WarpSource.fixed(py))
            let (x0, y0) = ((fx >> 11) &- x, (fy >> 11) &- y)
            let (wx, wy) = (fx & 2047, fy & 2047)
            if x0 >= 0 && y0 >= 0 && x0 &+ 1 < width && y0 &+ 1 < height {
              let upper = source + (y0 &* width &+ x0) &* 3
              WarpSource.mix(upper, upper + width &* 3, wx, wy, into: out)
            } else {
              edge(source, fx >> 11, fy >> 11, wx, wy, fill, constant, into: out)
            }
            out += 3
          }
        }
      }
    }
  }

  @inline(__always)
  private static func mix(
    _ upper: UnsafePointer<UInt8>, _ lower: UnsafePointer<UInt8>, _ wx: Int, _ wy: Int,
    into out: UnsafeMutablePointer<UInt8>
  ) {
    for c in 0..<3 {
      let top = Int(upper[c]) &* (one &- wx) &+ Int(upper[c &+ 3]) &* wx
      let bottom = Int(lower[c]) &* (one &- wx) &+ Int(lower[c &+ 3]) &* wx
      out[c] = UInt8(
        truncatingIfNeeded: (top &* (one &- wy) &+ bottom &* wy &+ (1 << 21)) >> 22)
    }
  }

  // A pixel with at least one neighbour outside the part in memory.
  private func edge(
    _ source: UnsafePointer<UInt8>, _ x0: Int, _ y0: Int, _ wx: Int, _ wy: Int, _ fill: FillMode,
    _ constant: [UInt8], into out: UnsafeMutablePointer<UInt8>
  ) {
    var sums = (1 << 21, 1 << 21, 1 << 21)
    for tap in 0..<4 {
      let (dx, dy) = (tap & 1, tap >> 1)
      let weight = (dx == 1 ? wx : Self.one - wx) * (dy == 1 ? wy : Self.one - wy)
      if weight == 0 { continue }
      if let sx = fill.source(of: x0 + dx, count: size.width),
        let sy = fill.source(of: y0 + dy, count: size.height)
      {
        // The part in memory holds every pixel that is read with a weight; the bound only guards
        // against a rounding difference of the last bit.
        let column = min(max(sx - x, 0), image.width - 1)
        let row = min(max(sy - y, 0), image.height - 1)
        let pixel = source + (row * image.width + column) * 3
        sums.0 += weight * Int(pixel[0])
        sums.1 += weight * Int(pixel[1])
        sums.2 += weight * Int(pixel[2])
      } else {
        sums.0 += weight * Int(constant[0])
        sums.1 += weight * Int(constant[1])
        sums.2 += weight * Int(constant[2])
      }
    }
    out[0] = UInt8(truncatingIfNeeded: sums.0 >> 22)
    out[1] = UInt8(truncatingIfNeeded: sums.1 >> 22)
    out[2] = UInt8(truncatingIfNeeded: sums.2 >> 22)
  }
}
