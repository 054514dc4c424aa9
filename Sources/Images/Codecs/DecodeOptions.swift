// SPDX-License-Identifier: Apache-2.0

/// Choices and limits of a decode; the defaults decode a photo at full size with Pillow's limits.
public struct DecodeOptions: Sendable, Hashable {
  /// The colour under transparent pixels.
  public var background: RGBColor
  /// When set, a JPEG may be decoded at 1/2, 1/4 or 1/8 of its size as long as the upright result is
  /// at least this large on both sides. PNG is always decoded in full.
  public var minimumSize: PixelSize?
  /// Largest accepted width * height; decided from the header, before memory is taken.
  public var maximumPixels: Int
  /// Largest accepted number of scans of a progressive JPEG.
  public var maximumScans: Int
  /// Whether a file with complete pixels may lack its end marker; it is then a warning.
  public var allowsMissingEnd: Bool

  /// Pillow's bomb limit: 1024^3 / 4 / 3 pixels.
  public static let defaultMaximumPixels = 89_478_485

  /// Options, all with defaults.
  public init(
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
public struct ImageWarnings: Sendable, Hashable {
  /// How many.
  public var count: Int
  /// The first of them, as the library or we put it.
  public var first: String?

  /// Warnings; by default none.
  public init(count: Int = 0, first: String? = nil) {
    self.count = count
    self.first = first
  }
}

/// What an image's header says.
public struct ImageProbe: Sendable, Hashable {
  /// JPEG or PNG.
  public let format: ImageFormat
  /// Extent of the upright image in pixels.
  public let size: PixelSize
  /// The turn that makes the stored image upright.
  public let orientation: ImageOrientation
  /// Channels as stored (1, 3 or 4 for JPEG, 1 to 4 for PNG).
  public let channels: Int
  /// Bits a channel as stored.
  public let bitsPerChannel: Int
  /// Whether pixels may be transparent.
  public let hasAlpha: Bool
  /// Progressive JPEG or interlaced PNG.
  public let isProgressive: Bool
  /// Warnings of the header.
  public let warnings: ImageWarnings

  /// Extent as stored, before the turn.
  var storedSize: PixelSize { orientation.swapsSides ? size.transposed : size }
}

/// A decoded, upright photo and what was learned on the way.
public struct DecodedImage: Sendable, Hashable {
  /// The upright pixels.
  public let image: RGBImage
  /// JPEG or PNG, by content.
  public let format: ImageFormat
  /// Things that were wrong without costing a pixel.
  public let warnings: ImageWarnings
  /// The turn that was applied.
  public let orientation: ImageOrientation
  /// Extent of the upright image at full scale.
  public let originalSize: PixelSize
  /// `image` is 1/this of the original, sides rounded up: 1, 2, 4 or 8.
  public let scaleDenominator: Int

  /// The part of `image` that the original covers: with scaled decoding the last column and row may
  /// stand for less than a whole pixel.
  public var coveredBox: SourceBox {
    SourceBox(
      left: 0, top: 0, right: Double(originalSize.width) / Double(scaleDenominator),
      bottom: Double(originalSize.height) / Double(scaleDenominator))
  }
}
