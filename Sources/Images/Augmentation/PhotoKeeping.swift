// SPDX-License-Identifier: Apache-2.0

import Glibc

/// What is kept of a decoded photo from one epoch to the next, so that no epoch but the first decodes it.
///
/// Where every look at a photo shows the contract's own square, in other colours or mirrored, that square
/// is kept; otherwise the photo as it was decoded. Either gives the very pixels that decoding anew would.
///
/// A photo with more than ``margin`` pixels to one of the square's, where a draw magnifies most, is too
/// large to keep. With ``shrinks`` it is resized to that many with the contract's kernel, once, and draws
/// look at the smaller photo: the pixels then differ a little from those of decoding anew. Where the
/// contract takes nearest pixels nothing is shrunk, as those must be the photo's own.
package struct PhotoKeeping: Hashable, Sendable {
  /// How the photo becomes numbers.
  package let preprocessing: Preprocessing
  /// What is drawn; `.none` for photos that are only looked at plainly.
  package let augmentation: Augmentation
  /// Whether photos that are too large are kept smaller.
  package let shrinks: Bool

  /// Pixels that a shrunk photo has to one of the square's, where a draw magnifies most.
  ///
  /// From √2 on, where photos are sampled without being reduced first, a draw is as sharp as from the
  /// photo itself. A perspective magnifies corners by up to 1.4 more than the centre, for which this
  /// is meant.
  package static let margin = 1.5

  /// A rule.
  package init(_ preprocessing: Preprocessing, _ augmentation: Augmentation, shrinks: Bool) {
    self.preprocessing = preprocessing
    self.augmentation = augmentation
    self.shrinks = shrinks
  }

  /// Everything that kept pixels depend on besides the photo, as text.
  package var key: String {
    augmentation.keepsFrame
      ? "square 1 \(preprocessing.json)"
      : "photo 1 \(preprocessing.json) \(shrinks ? augmentation.json : "")"
  }

  /// What is kept of a photo that was decoded as the contract asks.
  package func kept(_ decoded: DecodedImage) -> DecodedImage {
    let (image, original) = (decoded.image, decoded.originalSize)
    if augmentation.keepsFrame {
      return DecodedImage(
        kept: preprocessing.square(of: decoded), as: .square, original: original)
    }
    guard let size = shrunkSize(of: original) else {
      return DecodedImage(
        kept: image, as: .decoded, original: original, scaleDenominator: decoded.scaleDenominator)
    }
    let smaller = PixelSize(
      width: min(size.width, image.width), height: min(size.height, image.height))
    guard smaller != image.size else {
      return DecodedImage(
        kept: image, as: .decoded, original: original, scaleDenominator: decoded.scaleDenominator)
    }
    return DecodedImage(
      kept: image.resized(
        to: smaller, interpolation: preprocessing.interpolation, box: decoded.coveredBox),
      as: .shrunk, original: original)
  }

  /// The size that a photo is shrunk to; nil for one whose own pixels are kept.
  package func shrunkSize(of size: PixelSize) -> PixelSize? {
    guard shrinks, !augmentation.keepsFrame, preprocessing.interpolation != .nearest else {
      return nil
    }
    let finest = finestExtent(of: size)
    func shrunk(_ length: Int, _ extent: Double) -> Int {
      extent > Self.margin
        ? min(Int((Double(length) * Self.margin / extent).rounded(.up)), length) : length
    }
    let result = PixelSize(
      width: shrunk(size.width, finest.x), height: shrunk(size.height, finest.y))
    return result == size ? nil : result
  }

  /// Bytes that the kept pixels of a photo of `size` take at the most.
  package func byteCount(of size: PixelSize) -> Int {
    if augmentation.keepsFrame { return preprocessing.elementCount }
    let kept = shrunkSize(of: size) ?? size
    return kept.width * kept.height * 3
  }

  /// Pixels of the photo to one of the square's where a draw magnifies most, at the square's centre.
  private func finestExtent(of size: PixelSize) -> (x: Double, y: Double) {
    let (width, height) = (Double(size.width), Double(size.height))
    let side = Double(preprocessing.inputSize)
    let affine = augmentation.strongestMagnification
    if let crop = augmentation.randomCrop {
      let area = width * height * crop.scale.lowerBound
      return (
        min((area * crop.ratio.lowerBound).squareRoot(), width) / side / affine,
        min((area / crop.ratio.upperBound).squareRoot(), height) / side / affine
      )
    }
    let resized = preprocessing.geometry(of: size).resized
    return (
      width / Double(resized.width) / affine, height / Double(resized.height) / affine
    )
  }
}

extension Augmentation {
  /// Whether every draw shows the contract's own square, perhaps turned or mirrored by itself.
  var keepsFrame: Bool {
    randomCrop == nil && rotationDegrees == 0 && widthShift == 0 && heightShift == 0
      && shearDegrees == 0 && zoom == 1...1 && warp == 0
  }

  /// How much larger than in its frame a draw shows a photo at the most, in its centre: the inverse of the
  /// smallest singular value of zoom and shear. Turns and shifts have none.
  fileprivate var strongestMagnification: Double {
    1 / (min(zoom.lowerBound, 1) * (1 - abs(sin(shearDegrees * .pi / 180))).squareRoot())
  }
}

extension DecodedImage {
  /// From the original's edge coordinates to those of `image`.
  var fromOriginal: ProjectiveMap {
    if form == .decoded {
      let scale = 1 / Double(scaleDenominator)
      return .scaling(x: scale, y: scale)
    }
    return .scaling(
      x: Double(image.width) / Double(originalSize.width),
      y: Double(image.height) / Double(originalSize.height))
  }

  /// Pixels to one of the square's that an image is reduced to before it is sampled.
  ///
  /// The variances of the triangles that pixels went through add up to that of one triangle of width 1: of
  /// two, reducing and sampling, √2; of three, where the image was shrunk before, more.
  ///
  /// - Parameter extent: pixels of `image` to one of the square's.
  func sampledDensity(_ extent: Double) -> Double {
    form == .shrunk
      ? (2 / (1 - 1 / (extent * extent))).squareRoot() : 2.0.squareRoot()
  }
}
