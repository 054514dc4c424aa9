// SPDX-License-Identifier: Apache-2.0

extension Preprocessing {
  /// From the bytes of a file to one augmented input: decode, turn upright, draw, one resampling,
  /// colour, erasing, normalise.
  ///
  /// With an augmentation that does nothing the result equals that of plain preparation
  /// bit for bit.
  ///
  /// - Parameters:
  ///   - seed: the run's seed.
  ///   - epoch: 0-based, or the number of a cached view.
  ///   - sample: the photo's index in the manifest.
  ///   - output: exactly `elementCount` floats, [C, H, W].
  /// - Throws: ``ImageError``; the output is then unspecified.
  @discardableResult
  package func prepareAugmented(
    _ bytes: UnsafeRawBufferPointer, augmentation: Augmentation, seed: UInt64, epoch: Int,
    sample: Int, scaledDecoding: Bool = true, into output: UnsafeMutableBufferPointer<Float>
  ) throws(ImageError) -> PreparedImage {
    let view = AugmentedView(augmentation, seed: seed, number: epoch)
    return try prepare(
      bytes, augmentedViews: [view], sample: sample, scaledDecoding: scaledDecoding,
      into: output)
  }

  /// The same for several views of one photo, which is decoded once.
  ///
  /// - Parameter output: exactly `augmentedViews.count * elementCount` floats, [views, C, H, W].
  @discardableResult
  package func prepare(
    _ bytes: UnsafeRawBufferPointer, augmentedViews views: [AugmentedView], sample: Int,
    scaledDecoding: Bool = true, into output: UnsafeMutableBufferPointer<Float>
  ) throws(ImageError) -> PreparedImage {
    try prepare(bytes, scaledDecoding: scaledDecoding, into: output) { size in
      views.map { $0.draw(sample: sample, size: size, side: inputSize) }
    }
  }

  /// The same for draws that depend on the extent of the upright photo.
  ///
  /// - Parameter draws: called once; at least one draw.
  @discardableResult
  package func prepare(
    _ bytes: UnsafeRawBufferPointer, scaledDecoding: Bool = true,
    into output: UnsafeMutableBufferPointer<Float>, draws: (PixelSize) -> [AugmentationDraw]
  ) throws(ImageError) -> PreparedImage {
    var options = decodeOptions
    let probe = try ImageDecoder.probe(bytes, options: options)
    let draws = draws(probe.size)
    precondition(
      !draws.isEmpty && output.count == draws.count * elementCount,
      "Expected \(draws.count * elementCount) floats for \(draws.count) draws, got \(output.count)."
    )
    if scaledDecoding { options.minimumSize = smallestSource(of: probe.size) }
    let decoded = try ImageDecoder.decode(bytes, options: options)
    for (index, draw) in draws.enumerated() {
      let part = output[(index * elementCount)..<((index + 1) * elementCount)]
      normalize(
        augmentedSquare(of: decoded, draw: draw),
        into: UnsafeMutableBufferPointer(rebasing: part))
    }
    return PreparedImage(
      format: decoded.format, originalSize: decoded.originalSize, warnings: decoded.warnings)
  }

  /// The square of ``inputSize`` a draw shows, in 8 bits, before normalisation.
  ///
  /// A draw that keeps the contract's frame, perhaps turned or mirrored, gives exactly the pixels
  /// of ``square(of:view:)``. One that only cuts and scales a box inside the photo is resized as
  /// the contract says. Any other is one map from the square to the photo, sampled bilinearly.
  ///
  /// Sampling alone would alias where the map shrinks, so a photo with more than about 1.6 pixels
  /// to one of the square's is first brought to √2 with the contract's kernel. √2 because the
  /// variances of the two triangles then add up to that of the one triangle of width 1 that a plain
  /// bilinear resize uses: augmented photos are as sharp as those the network will be tested on.
  package func augmentedSquare(of decoded: DecodedImage, draw: AugmentationDraw) -> RGBImage {
    let square = geometry(decoded, draw).applying(draw.symmetry)
    return erase(draw.erasures, in: draw.color.applied(to: square))
  }

  // Everything but the turn.
  private func geometry(_ decoded: DecodedImage, _ draw: AugmentationDraw) -> RGBImage {
    if draw.keepsFrame { return square(of: decoded) }
    precondition(
      decoded.form != .square, "Only the plain square was kept of a photo, and \(draw) moves it.")
    let map = decoded.fromOriginal.after(photoMap(of: draw, size: decoded.originalSize))
    let side = PixelSize(width: inputSize, height: inputSize)
    if let box = box(of: map, inside: decoded.coveredBox) {
      return decoded.image.resized(to: side, interpolation: interpolation, box: box)
    }
    let (source, toSource) = prefiltered(decoded, for: map, fill: draw.fill)
    return source.warped(
      by: toSource.after(map), to: side, fill: draw.fill, fillColor: draw.fillColor)
  }

  /// From the square's edge coordinates to those of the full photo, before turning.
  package func photoMap(of draw: AugmentationDraw, size: PixelSize) -> ProjectiveMap {
    let frame: ProjectiveMap
    let side = Double(inputSize)
    if let crop = draw.crop {
      let (width, height) = (Double(size.width), Double(size.height))
      frame = ProjectiveMap(
        crop.width * width / side, 0, crop.left * width, 0, crop.height * height / side,
        crop.top * height)
    } else {
      let (resized, crop) = geometry(of: size)
      let x = Double(size.width) / Double(resized.width)
      let y = Double(size.height) / Double(resized.height)
      frame = ProjectiveMap(x, 0, Double(crop.x) * x, 0, y, Double(crop.y) * y)
    }
    return frame.after(draw.map(side: inputSize))
  }

  // The box a map shows when it only cuts and scales inside the photo.
  private func box(of map: ProjectiveMap, inside photo: SourceBox) -> SourceBox? {
    guard map.isAxisAligned else { return nil }
    let end = map(x: Double(inputSize), y: Double(inputSize))
    // Rounding may put an edge that is the photo's own just outside.
    let slack = 1e-6
    guard map.x0 >= -slack, map.y0 >= -slack, end.x <= photo.right + slack,
      end.y <= photo.bottom + slack
    else { return nil }
    return SourceBox(
      left: max(map.x0, 0), top: max(map.y0, 0), right: min(end.x, photo.right),
      bottom: min(end.y, photo.bottom))
  }

  // The needed part of the photo, reduced where the map shrinks, and the map from the photo to it.
  private func prefiltered(
    _ decoded: DecodedImage, for map: ProjectiveMap, fill: FillMode
  ) -> (WarpSource, ProjectiveMap) {
    let covered = decoded.coveredBox
    let center = Double(inputSize) / 2
    let extent = map.inputExtent(x: center, y: center)
    func reduced(_ length: Double, _ extent: Double) -> Int {
      let density = decoded.sampledDensity(extent)
      return extent > 1.6 && density < extent
        ? Int((length * density / extent).rounded(.up)) : Int(length.rounded(.up))
    }
    let size = PixelSize(
      width: reduced(covered.right, extent.x), height: reduced(covered.bottom, extent.y))
    if size == decoded.image.size { return (WarpSource(image: decoded.image), .identity) }
    let toSource = ProjectiveMap.scaling(
      x: Double(size.width) / covered.right, y: Double(size.height) / covered.bottom)
    let region = needed(by: toSource.after(map), of: size, fill: fill)
    let image = decoded.image.resized(
      to: size, interpolation: interpolation, box: covered, region: region)
    return (WarpSource(image: image, x: region.x, y: region.y, size: size), toSource)
  }

  // The pixels a map reads: straight lines stay straight, so the square's corners bound them.
  private func needed(
    by map: ProjectiveMap, of size: PixelSize, fill: FillMode
  ) -> PixelRectangle {
    let side = Double(inputSize)
    let corners = [(0.0, 0.0), (side, 0.0), (0.0, side), (side, side)]
      .map { map(x: $0.0, y: $0.1) }
    func range(_ values: [Double], count: Int) -> ClosedRange<Int> {
      let far = 1e6
      let low = (min(max(values.min() ?? 0, -far), far) - 1).rounded(.down)
      let high = (min(max(values.max() ?? 0, -far), far) + 1).rounded(.up)
      return fill.sources(of: Int(low)...Int(high), count: count)
    }
    let columns = range(corners.map(\.x), count: size.width)
    let rows = range(corners.map(\.y), count: size.height)
    return PixelRectangle(
      x: columns.lowerBound, y: rows.lowerBound,
      size: PixelSize(width: columns.count, height: rows.count))
  }

  /// The 8-bit colour that normalises to about 0.
  var meanColor: RGBColor {
    let levels = mean.map { UInt8(min(max(($0 / scale).rounded(), 0), 255)) }
    return channelOrder == .rgb
      ? RGBColor(red: levels[0], green: levels[1], blue: levels[2])
      : RGBColor(red: levels[2], green: levels[1], blue: levels[0])
  }

  private func erase(_ boxes: [FractionalBox], in image: RGBImage) -> RGBImage {
    if boxes.isEmpty { return image }
    let color = meanColor
    var pixels = image.pixels
    let side = Double(inputSize)
    for box in boxes {
      let width = Int((box.width * side).rounded())
      let height = Int((box.height * side).rounded())
      let left = min(Int((box.left * side).rounded()), inputSize - width)
      let top = min(Int((box.top * side).rounded()), inputSize - height)
      for row in top..<(top + height) {
        for column in left..<(left + width) {
          let at = (row * inputSize + column) * 3
          (pixels[at], pixels[at + 1], pixels[at + 2]) = (color.red, color.green, color.blue)
        }
      }
    }
    return RGBImage(size: image.size, pixels: pixels)
  }
}
