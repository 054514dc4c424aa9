// SPDX-License-Identifier: Apache-2.0

/// Choices and limits of a decode; the defaults decode a photo at full size with Pillow's limits.
package struct DecodeOptions: Sendable, Hashable {
  /// The colour under transparent pixels.
  package var background: RGBColor
  /// When set, a JPEG may be decoded at 1/2, 1/4 or 1/8 of its size as long as the upright result is
  /// at least this large on both sides. PNG is always decoded in full.
  package var minimumSize: PixelSize?
  /// Largest accepted width * height; decided from the header, before memory is taken.
  package var maximumPixels: Int
  /// Largest accepted number of scans of a progressive JPEG.
  package var maximumScans: Int
  /// Whether a file with complete pixels may lack its end marker; it is then a warning.
  package var allowsMissingEnd: Bool
  /// Whether colours of an embedded profile become sRGB's.
  package var convertsProfiles = false
  /// Whether 16-bit samples that use 8, 10, 12 or 14 bits are spread over the whole range (PNG, TIFF).
  package var stretchesSixteenBits = false

  /// Pillow's bomb limit: 1024^3 / 4 / 3 pixels.
  package static let defaultMaximumPixels = 89_478_485

  /// Options, all with defaults.
  package init(
    background: RGBColor = .white, minimumSize: PixelSize? = nil,
    maximumPixels: Int = DecodeOptions.defaultMaximumPixels, maximumScans: Int = 500,
    allowsMissingEnd: Bool = true
  ) {
    self.background = background
    self.minimumSize = minimumSize
    self.maximumPixels = maximumPixels
    self.maximumScans = maximumScans
    self.allowsMissingEnd = allowsMissingEnd
  }
}

/// Things that were wrong with a file but cost no pixel, for example bytes after its end.
package struct ImageWarnings: Sendable, Hashable {
  /// How many.
  package var count: Int
  /// The first of them, as the library or we put it.
  package var first: String?

  /// Warnings; by default none.
  package init(count: Int = 0, first: String? = nil) {
    self.count = count
    self.first = first
  }

  /// One more.
  mutating func add(_ text: String) {
    count += 1
    first = first ?? text
  }

  /// In the words of the shims.
  static let nothingVisible = ImageWarnings(
    count: 1, first: "every pixel is transparent, so that only the background is seen")
}

/// What an image's header says.
package struct ImageProbe: Sendable, Hashable {
  package let format: ImageFormat
  /// Extent of the upright image in pixels.
  package let size: PixelSize
  /// The turn that makes the stored image upright.
  package let orientation: ImageOrientation
  /// Channels as stored (1, 3 or 4 for JPEG, 1 to 4 for PNG).
  package let channels: Int
  /// Bits a channel as stored.
  package let bitsPerChannel: Int
  /// Whether pixels may be transparent.
  package let hasAlpha: Bool
  /// Whether colours are inks.
  package let isCMYK: Bool
  /// The camera as EXIF names it; nil when it does not.
  package let camera: String?
  /// Progressive JPEG or interlaced PNG.
  package let isProgressive: Bool
  /// Warnings of the header.
  package let warnings: ImageWarnings

  /// Extent as stored, before the turn.
  var storedSize: PixelSize { orientation.swapsSides ? size.transposed : size }
}

/// What of a photo an image in memory has.
package enum PhotoForm: UInt32, Sendable, Hashable, CaseIterable {
  /// All of it, as it was decoded.
  case decoded
  /// All of it, at a smaller size of its own.
  case shrunk
  /// The square that the contract cuts, ready for the network.
  case square
}

/// A decoded, upright photo and what was learned on the way.
package struct DecodedImage: Sendable, Hashable {
  /// The upright pixels.
  package let image: RGBImage
  /// Its format, by content.
  package let format: ImageFormat
  /// Things that were wrong without costing a pixel.
  package let warnings: ImageWarnings
  /// The turn that was applied.
  package let orientation: ImageOrientation
  /// Extent of the upright image at full scale.
  package let originalSize: PixelSize
  /// `image` is 1/this of the original, sides rounded up: 1, 2, 4 or 8.
  package let scaleDenominator: Int
  /// The camera as EXIF names it; nil when it does not.
  package let camera: String?
  /// What of the photo `image` has.
  package let form: PhotoForm

  /// Pixels that did not come from a file: upright, whole, lossless.
  package init(pixels image: RGBImage) {
    self.init(
      image: image, format: .png, warnings: ImageWarnings(), orientation: .upright,
      originalSize: image.size, scaleDenominator: 1)
  }

  /// Pixels that were kept of a photo.
  ///
  /// - Parameters:
  ///   - original: extent of the upright photo at full scale.
  ///   - scaleDenominator: of a photo that is kept as it was decoded; 1 otherwise.
  package init(
    kept image: RGBImage, as form: PhotoForm, original: PixelSize, scaleDenominator: Int = 1
  ) {
    self.init(
      image: image, format: .png, warnings: ImageWarnings(), orientation: .upright,
      originalSize: original, scaleDenominator: scaleDenominator, form: form)
  }

  init(
    image: RGBImage, format: ImageFormat, warnings: ImageWarnings, orientation: ImageOrientation,
    originalSize: PixelSize, scaleDenominator: Int, camera: String? = nil,
    form: PhotoForm = .decoded
  ) {
    self.camera = camera
    self.form = form
    self.image = image
    self.format = format
    self.warnings = warnings
    self.orientation = orientation
    self.originalSize = originalSize
    self.scaleDenominator = scaleDenominator
  }

  /// The part of `image` that the original covers: with scaled decoding the last column and row may
  /// stand for less than a whole pixel.
  package var coveredBox: SourceBox {
    if form != .decoded { return SourceBox(image.size) }
    return SourceBox(
      left: 0, top: 0, right: Double(originalSize.width) / Double(scaleDenominator),
      bottom: Double(originalSize.height) / Double(scaleDenominator))
  }
}
