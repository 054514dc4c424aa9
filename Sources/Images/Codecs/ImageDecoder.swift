// SPDX-License-Identifier: Apache-2.0

/// Decodes photos by content, upright, to 8-bit RGB.
///
/// JPEG: the accurate integer DCT and smooth chroma upsampling, as Pillow uses; CMYK and YCCK as Adobe
/// stores them (inverted). PNG: gamma is ignored. WebP, GIF, BMP, TIFF, HEIC and AVIF: the first frame,
/// page or primary image. Each but BMP needs its library when this is built
/// (``ImageError/missingLibrary(_:)``).
///
/// Colour profiles are ignored or, by option, heeded: colours become sRGB's, as Pillow's ImageCms makes
/// them. 16-bit samples keep their high byte. Transparency is composited on `options.background` with
/// Pillow's rounding.
///
/// Damage that costs pixels is an error; damage that does not is counted in the warnings. No input can
/// crash the process or take more memory than `options.maximumPixels` allows (3 bytes a pixel, 4 more
/// for an interlaced transparent PNG, about 6 more for a progressive JPEG).
package enum ImageDecoder {
  /// Reads the header.
  ///
  /// - Throws: ``ImageError`` for anything ``decode(_:options:)`` would refuse from the header alone.
  package static func probe(
    _ bytes: UnsafeRawBufferPointer, options: DecodeOptions = DecodeOptions()
  ) throws(ImageError) -> ImageProbe {
    let format = try decodable(bytes)
    guard let codec = ImageCodec(format) else { return try BMPDecoder.probe(bytes, options) }
    return try codec.probe(bytes, options)
  }

  /// Decodes the whole image.
  ///
  /// - Throws: ``ImageError``; the pixels are complete or there are none.
  package static func decode(
    _ bytes: UnsafeRawBufferPointer, options: DecodeOptions = DecodeOptions()
  ) throws(ImageError) -> DecodedImage {
    try decode(bytes, probed: probe(bytes, options: options), options: options)
  }

  /// Decodes the whole image, whose header was read already.
  ///
  /// - Throws: as ``decode(_:options:)``; ``ImageError/changedMeanwhile(_:detail:)`` when the header was
  ///   that of an image of another size.
  package static func decode(
    _ bytes: UnsafeRawBufferPointer, probed probe: ImageProbe,
    options: DecodeOptions = DecodeOptions()
  ) throws(ImageError) -> DecodedImage {
    let format = try decodable(bytes)
    let scale = scaleDenominator(for: probe, options)
    let colours =
      options.convertsProfiles ? try ColourProfile.meaning(of: bytes, probe, options) : .same
    var transform: ColourProfile.Transform?
    if case .transform(let found) = colours { transform = found }
    var (stored, warnings) =
      if let codec = ImageCodec(format) {
        try codec.decode(bytes, probe, scale: scale, options, inks: probe.isCMYK ? transform : nil)
      } else { try BMPDecoder.decode(bytes, options) }
    if let transform, !probe.isCMYK {
      if transform.isGrey, !stored.isGrey {
        warnings.add("the colour profile is one of grey and ignored, as the photo has colours")
      } else {
        transform.convert(&stored)
      }
    }
    if case .unusable(let reason) = colours { warnings.add(reason) }
    guard stored.size == probe.storedSize.scaled(by: scale) else {
      throw .changedMeanwhile(format, detail: "\(stored.size) pixels")
    }
    var found = warnings
    let needed = format == .jpeg ? smallestDenominator(for: probe, options) : 1
    if needed > 1 {
      found.add("\(probe.size) pixels, read at 1/\(needed) of its size to spare memory")
    }
    return DecodedImage(
      image: stored.oriented(probe.orientation), format: probe.format, warnings: found,
      orientation: probe.orientation, originalSize: probe.size, scaleDenominator: scale,
      camera: probe.camera)
  }

  /// ``probe(_:options:)`` of an array.
  package static func probe(
    _ bytes: [UInt8], options: DecodeOptions = DecodeOptions()
  ) throws(ImageError) -> ImageProbe {
    try bytes.withUnsafeBufferPointer { (buffer) throws(ImageError) in
      try probe(UnsafeRawBufferPointer(buffer), options: options)
    }
  }

  /// ``decode(_:options:)`` of an array.
  package static func decode(
    _ bytes: [UInt8], options: DecodeOptions = DecodeOptions()
  ) throws(ImageError) -> DecodedImage {
    try bytes.withUnsafeBufferPointer { (buffer) throws(ImageError) in
      try decode(UnsafeRawBufferPointer(buffer), options: options)
    }
  }

  /// The fraction that a JPEG is decoded at: what the caller can do with, and what memory allows.
  private static func scaleDenominator(for probe: ImageProbe, _ options: DecodeOptions) -> Int {
    guard probe.format == .jpeg else { return 1 }
    let fitting =
      options.minimumSize.flatMap { minimum in
        [8, 4, 2].first {
          let size = probe.size.scaled(by: $0)
          return size.width >= minimum.width && size.height >= minimum.height
        }
      } ?? 1
    return max(fitting, smallestDenominator(for: probe, options))
  }

  /// The least that a JPEG must be scaled down by to have as many pixels as allowed.
  private static func smallestDenominator(for probe: ImageProbe, _ options: DecodeOptions) -> Int {
    [1, 2, 4].first {
      let size = probe.size.scaled(by: $0)
      return size.width * size.height <= options.maximumPixels
    } ?? 8
  }

  /// The format of the bytes, when it is one that is decoded.
  private static func decodable(_ bytes: UnsafeRawBufferPointer) throws(ImageError) -> ImageFormat {
    guard !bytes.isEmpty else { throw .empty }
    let format = ImageFormat.detect(bytes)
    guard format.isSupported else { throw .unsupportedFormat(format) }
    return format
  }
}
