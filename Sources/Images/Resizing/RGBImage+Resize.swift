// SPDX-License-Identifier: Apache-2.0

import CThawImageCodecs

extension RGBImage {
  /// The image at another size, equal to Pillow's `resize` (antialiased when shrinking).
  ///
  /// Two passes with 8 bits between them and 22-bit weights, horizontal first unless the height
  /// shrinks by more than twice what the width does (the order changes the last bit, so it is
  /// Pillow 13's; older versions always began with the horizontal pass).
  ///
  /// - Parameter target: extent of the whole resized image.
  /// - Parameter box: the part of this image that becomes `target`; all of it when nil.
  /// - Parameter region: the part of the resized image to compute; all of it when nil. The pixels are
  ///   the same as those of a full resize cropped afterwards, without the work for the rest.
  package func resized(
    to target: PixelSize, interpolation: Interpolation, box: SourceBox? = nil,
    region: PixelRectangle? = nil
  ) -> RGBImage {
    let box = box ?? SourceBox(size)
    let region = region ?? PixelRectangle(x: 0, y: 0, size: target)
    precondition(
      region.fits(in: target) && region.size.width > 0 && region.size.height > 0,
      "The region \(region) is not inside the resized image of \(target).")
    precondition(
      box.left >= 0 && box.top >= 0 && box.right <= Double(width) && box.bottom <= Double(height),
      "The box \(box) is not inside the image of \(size).")
    if target == size, box == SourceBox(size) {
      return region.size == size ? self : cropped(to: region)
    }
    let columns = ResamplingWeights(
      interpolation, sourceCount: width, low: box.left, high: box.right,
      outputCount: target.width, range: region.x..<(region.x + region.size.width))
    let rows = ResamplingWeights(
      interpolation, sourceCount: height, low: box.top, high: box.bottom,
      outputCount: target.height, range: region.y..<(region.y + region.size.height))
    let beginsVertically =
      target.height < height && height - target.height > 2 * (width - target.width)
    return beginsVertically
      ? resampledVertically(rows, columns: columns.sourceRange)
        .resampledHorizontally(columns.rebased, rows: 0..<region.size.height)
      : resampledHorizontally(columns, rows: rows.sourceRange)
        .resampledVertically(rows.rebased, columns: 0..<region.size.width)
  }

  private func resampledHorizontally(_ weights: ResamplingWeights, rows: Range<Int>) -> RGBImage {
    let target = PixelSize(width: weights.first.count, height: rows.count)
    return RGBImage(size: target) { output in
      pixels.withUnsafeBufferPointer { input in
        thaw_resample_horizontal(
          input.baseAddress.map { $0 + rows.lowerBound * width * 3 }, width * 3,
          output.baseAddress, target.width * 3, rows.count, target.width,
          weights.first, weights.taps, weights.weights, weights.stride)
      }
    }
  }

  private func resampledVertically(_ weights: ResamplingWeights, columns: Range<Int>) -> RGBImage {
    let target = PixelSize(width: columns.count, height: weights.first.count)
    let (inputStride, outputStride) = (width * 3, target.width * 3)
    return RGBImage(size: target) { output in
      pixels.withUnsafeBufferPointer { input in
        weights.weights.withUnsafeBufferPointer { table in
          for row in 0..<target.height {
            let from = Int(weights.first[row]) * inputStride + columns.lowerBound * 3
            thaw_resample_vertical(
              input.baseAddress.map { $0 + from }, inputStride,
              output.baseAddress.map { $0 + row * outputStride }, outputStride,
              Int(weights.taps[row]), table.baseAddress.map { $0 + row * weights.stride })
          }
        }
      }
    }
  }
}
