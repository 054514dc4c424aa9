// SPDX-License-Identifier: Apache-2.0

import CThawImageCodecs

extension Preprocessing {
  /// Number of floats one view of one photo becomes: 3 * inputSize * inputSize.
  package var elementCount: Int { 3 * inputSize * inputSize }

  /// Where a view is cut: the size the photo is resized to, and the square kept of it.
  ///
  /// `.center` at zoom 0 is the contract's own geometry. Corners need room to differ, so a contract
  /// that crops less than the usual 0.875 is resized as if it cropped 0.875 for them; each zoom step
  /// adds 15 % to the resized side.
  package func geometry(
    of size: PixelSize, view: View = .center
  ) -> (resized: PixelSize, crop: PixelRectangle) {
    let resized = resizeRule.resizedSize(of: size, target: resizeTarget(of: view))
    let (spareColumns, spareRows) = (resized.width - inputSize, resized.height - inputSize)
    let (x, y) =
      switch view.anchor {
      case .center:
        (
          ResizeRule.centeredStart(of: inputSize, in: resized.width),
          ResizeRule.centeredStart(of: inputSize, in: resized.height)
        )
      case .topLeft: (0, 0)
      case .topRight: (spareColumns, 0)
      case .bottomLeft: (0, spareRows)
      case .bottomRight: (spareColumns, spareRows)
      }
    let square = PixelSize(width: inputSize, height: inputSize)
    return (resized, PixelRectangle(x: x, y: y, size: square))
  }

  private func resizeTarget(of view: View) -> Int {
    let roomy = Int((Double(inputSize) / 0.875).rounded(.down))
    let base = view.anchor == .center ? resizeTarget : max(resizeTarget, roomy)
    return base * (100 + 15 * view.zoom) / 100
  }

  /// The square a view shows, still in 8 bits and not mirrored: augmentation works on this.
  ///
  /// Traps when only the contract's square was kept, and the view is another.
  package func square(of decoded: DecodedImage, view: View = .center) -> RGBImage {
    if decoded.form == .square {
      precondition(
        view.anchor == .center && view.zoom == 0 && decoded.image.width == inputSize,
        "Only a square of \(decoded.image.size) was kept of a photo, and \(view) of \(inputSize) is asked for."
      )
      return decoded.image
    }
    let (resized, crop) = geometry(of: decoded.originalSize, view: view)
    return decoded.image.resized(
      to: resized, interpolation: interpolation, box: decoded.coveredBox, region: crop)
  }

  /// Resizes, cuts, mirrors and normalises one view of a decoded photo.
  ///
  /// - Parameter output: exactly ``elementCount`` floats, planar [C, H, W].
  package func preprocess(
    _ decoded: DecodedImage, view: View = .center, into output: UnsafeMutableBufferPointer<Float>
  ) {
    normalize(square(of: decoded, view: view), flipped: view.isFlipped, into: output)
  }

  /// The same for an image that did not come from a file.
  package func preprocess(
    _ image: RGBImage, view: View = .center, into output: UnsafeMutableBufferPointer<Float>
  ) {
    let (resized, crop) = geometry(of: image.size, view: view)
    let square = image.resized(to: resized, interpolation: interpolation, region: crop)
    normalize(square, flipped: view.isFlipped, into: output)
  }

  /// value = (x * scale - mean) / std for a square of ``inputSize``, computed in Double once a level
  /// and channel and rounded to Float.
  ///
  /// - Parameter output: exactly ``elementCount`` floats, planar [C, H, W].
  package func normalize(
    _ image: RGBImage, flipped: Bool = false, into output: UnsafeMutableBufferPointer<Float>
  ) {
    precondition(
      image.width == inputSize && image.height == inputSize,
      "Expected a square of \(inputSize), got \(image.size).")
    precondition(
      output.count == elementCount, "Expected \(elementCount) floats, got \(output.count).")
    guard let base = output.baseAddress else { return }
    let table = levels
    let channels: [UInt8] = channelOrder == .rgb ? [0, 1, 2] : [2, 1, 0]
    let plane = inputSize * inputSize
    image.pixels.withUnsafeBufferPointer { source in
      for row in 0..<inputSize {
        let start = base + row * inputSize + (flipped ? inputSize - 1 : 0)
        thaw_normalize_row(
          source.baseAddress.map { $0 + row * inputSize * 3 }, inputSize, table, channels, start,
          start + plane, start + 2 * plane, flipped ? -1 : 1)
      }
    }
  }

  /// The value of each of 256 levels in each output channel.
  private var levels: [Float] {
    (0..<768).map { Float((Double($0 % 256) * scale - mean[$0 / 256]) / std[$0 / 256]) }
  }
}
