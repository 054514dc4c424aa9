// SPDX-License-Identifier: Apache-2.0

import Glibc
import ThawTensors

extension Augmentation {
  /// The numbers of one photo in one epoch.
  ///
  /// Every operation takes its random numbers whether it is on or not, so switching one on leaves
  /// what the others draw as it was (crop and erasing, which take varying amounts, come last).
  ///
  /// - Parameters:
  ///   - seed: the run's seed.
  ///   - epoch: 0-based, or the number of a cached view.
  ///   - sample: the photo's index in the manifest.
  ///   - size: extent of the upright photo in full; only its shape matters.
  ///   - side: side of the square in pixels.
  package func draw(
    seed: UInt64, epoch: Int, sample: Int, size: PixelSize, side: Int
  ) -> AugmentationDraw {
    if let flaw { preconditionFailure("Not an augmentation: \(flaw).") }
    var stream = RandomStream(seed: seed, purpose: .augmentation, epoch: epoch, sample: sample)
    var draw = AugmentationDraw()
    draw.symmetry = symmetry(&stream)
    draw.affine = affine(&stream, side: side)
    (draw.horizontalWarp, draw.verticalWarp) = warp(&stream)
    draw.affineSemantics = affineSemantics
    (draw.fill, draw.fillColor) = (fill, fillColor)
    draw.color = color(&stream)
    draw.crop = randomCrop?.draw(&stream, size: size)
    draw.erasures = erasing?.draw(&stream) ?? []
    return draw
  }

  private func symmetry(_ stream: inout RandomStream) -> Dihedral {
    let index = stream.index(below: 8)
    let (mirrors, turns) = (stream.uniform() < 0.5, stream.uniform() < 0.5)
    return isDihedral
      ? Dihedral.allCases[index]
      : Dihedral(horizontal: mirrors && flipsHorizontally, vertical: turns && flipsVertically)
  }

  // Rotation, shifts, shear, zooms: Keras's order.
  private func affine(_ stream: inout RandomStream, side: Int) -> AffineDraw {
    var draw = AffineDraw()
    let neutral = draw
    func happens() -> Bool { stream.uniform(in: 0...1) < geometryProbability }
    let rotates = happens()
    draw.rotationDegrees = stream.uniform(in: -rotationDegrees...rotationDegrees)
    if !rotates || rotationDegrees == 0 { draw.rotationDegrees = neutral.rotationDegrees }
    let shifts = happens()
    let down = Augmentation.shift(&stream, limit: heightShift, side: side)
    let across = Augmentation.shift(&stream, limit: widthShift, side: side)
    if shifts { (draw.rowShift, draw.columnShift) = (down, across) }
    let shears = happens()
    let shear = stream.uniform(in: -shearDegrees...shearDegrees)
    if shears && shearDegrees > 0 { draw.shearDegrees = shear }
    let zooms = happens()
    let (first, second) = (stream.uniform(in: zoom), stream.uniform(in: zoom))
    if zooms { (draw.rowZoom, draw.columnZoom) = (first, locksZoom ? first : second) }
    return draw
  }

  // Keras: below 1 a fraction of the side, from 1 whole pixels below the limit, either way.
  private static func shift(_ stream: inout RandomStream, limit: Double, side: Int) -> Double {
    let fraction = stream.uniform(in: -1...1)
    let pixels = stream.index(below: max(Int(limit.rounded(.up)), 1))
    if limit == 0 { return 0 }
    if limit < 1 { return fraction * limit * Double(side) }
    return Double(fraction < 0 ? -pixels : pixels)
  }

  private func warp(_ stream: inout RandomStream) -> (Double, Double) {
    let happens = (
      stream.uniform(in: 0...1) < geometryProbability,
      stream.uniform(in: 0...1) < geometryProbability
    )
    let drawn = (stream.uniform(in: -1...1) * warp, stream.uniform(in: -1...1) * warp)
    if warp == 0 { return (0, 0) }
    return (happens.0 ? drawn.0 : 0, happens.1 ? drawn.1 : 0)
  }

  private func color(_ stream: inout RandomStream) -> ColorDraw {
    var draw = ColorDraw()
    let shifts = (0..<3).map { _ in stream.uniform(in: -1...1) * channelShift }
    if channelShift > 0 {
      draw.channelShift =
        channelShiftMode == .perChannel ? shifts : [shifts[0], shifts[0], shifts[0]]
    }
    let factor = stream.uniform(in: brightness)
    if brightness != 1...1 { draw.brightness = factor }
    let happens = (
      stream.uniform(in: 0...1) < lightingProbability,
      stream.uniform(in: 0...1) < lightingProbability
    )
    let light = 0.5 + 0.5 * lighting * stream.uniform(in: -1...1)
    let contrast = exp(-log(1 - lighting) * stream.uniform(in: -1...1))
    if happens.0 && lighting > 0 { draw.lightingBrightness = light }
    if happens.1 && lighting > 0 { draw.lightingContrast = contrast }
    let strength = 1 + saturation * stream.uniform(in: -1...1)
    if saturation > 0 { draw.saturation = max(0, strength) }
    return draw
  }
}

extension RandomCrop {
  /// Ten tries of an area and a shape that fit the photo; then its middle, as much as the ratios
  /// allow.
  func draw(_ stream: inout RandomStream, size: PixelSize) -> FractionalBox {
    let (width, height) = (Double(size.width), Double(size.height))
    for _ in 0..<10 {
      let area = width * height * stream.uniform(in: scale)
      let shape = exp(stream.uniform(in: log(ratio.lowerBound)...log(ratio.upperBound)))
      let (w, h) = ((area * shape).squareRoot(), (area / shape).squareRoot())
      if w <= width && h <= height {
        return FractionalBox(
          left: stream.uniform(in: 0...(width - w)) / width,
          top: stream.uniform(in: 0...(height - h)) / height, width: w / width, height: h / height)
      }
    }
    let shape = min(max(width / height, ratio.lowerBound), ratio.upperBound)
    let (w, h) = (min(width, height * shape), min(height, width / shape))
    return FractionalBox(
      left: (1 - w / width) / 2, top: (1 - h / height) / 2, width: w / width, height: h / height)
  }
}

extension RandomErasing {
  /// Rectangles wholly inside the square; one that came out too long is shortened, not dropped.
  func draw(_ stream: inout RandomStream) -> [FractionalBox] {
    guard stream.uniform(in: 0...1) < probability else { return [] }
    return (0..<count).map { _ in
      let part = stream.uniform(in: area) / Double(count)
      let shape = exp(stream.uniform(in: log(ratio.lowerBound)...log(ratio.upperBound)))
      var (w, h) = ((part * shape).squareRoot(), (part / shape).squareRoot())
      if w > 1 { (w, h) = (1, part) }
      if h > 1 { (w, h) = (part, 1) }
      return FractionalBox(
        left: stream.uniform(in: 0...(1 - w)), top: stream.uniform(in: 0...(1 - h)), width: w,
        height: h)
    }
  }
}
