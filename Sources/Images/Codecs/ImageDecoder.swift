// SPDX-License-Identifier: Apache-2.0

import CThawImageCodecs

/// Decodes JPEG and PNG by content, upright, to 8-bit RGB.
///
/// JPEG: the accurate integer DCT and smooth chroma upsampling, as Pillow uses; CMYK and YCCK as Adobe
/// stores them (inverted), converted without a colour profile. PNG: gamma and profiles are ignored,
/// 16-bit samples keep their high byte, transparency is composited on `options.background` with
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
    let codec = try Codec(for: bytes)
    return try codec.probe(bytes, options)
  }

  /// Decodes the whole image.
  ///
  /// - Throws: ``ImageError``; the pixels are complete or there are none.
  package static func decode(
    _ bytes: UnsafeRawBufferPointer, options: DecodeOptions = DecodeOptions()
  ) throws(ImageError) -> DecodedImage {
    let codec = try Codec(for: bytes)
    return try decode(bytes, probed: codec.probe(bytes, options), options: options)
  }

  /// Decodes the whole image, whose header was read already.
  ///
  /// - Throws: as ``decode(_:options:)``; ``ImageError/changedMeanwhile(_:detail:)`` when the header was
  ///   that of an image of another size.
  package static func decode(
    _ bytes: UnsafeRawBufferPointer, probed probe: ImageProbe,
    options: DecodeOptions = DecodeOptions()
  ) throws(ImageError) -> DecodedImage {
    let codec = try Codec(for: bytes)
    let scale = scaleDenominator(for: probe, options)
    let (stored, warnings) = try codec.decode(bytes, probe, scale: scale, options)
    return DecodedImage(
      image: stored.oriented(probe.orientation), format: probe.format, warnings: warnings,
      orientation: probe.orientation, originalSize: probe.size, scaleDenominator: scale)
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

  private static func scaleDenominator(for probe: ImageProbe, _ options: DecodeOptions) -> Int {
    guard probe.format == .jpeg, let minimum = options.minimumSize else { return 1 }
    let fitting = [8, 4, 2].first {
      scaled(probe.size.width, by: $0) >= minimum.width
        && scaled(probe.size.height, by: $0) >= minimum.height
    }
    return fitting ?? 1
  }

  // libjpeg's rounding of a scaled side.
  fileprivate static func scaled(_ side: Int, by denominator: Int) -> Int {
    (side + denominator - 1) / denominator
  }
}

/// The two libraries behind one face: status and report become values and errors here only.
private enum Codec {
  case jpeg, png

  init(for bytes: UnsafeRawBufferPointer) throws(ImageError) {
    guard !bytes.isEmpty else { throw .empty }
    switch ImageFormat.detect(bytes) {
    case .jpeg: self = .jpeg
    case .png: self = .png
    case let other: throw .unsupportedFormat(other)
    }
  }

  var format: ImageFormat { self == .jpeg ? .jpeg : .png }

  func probe(
    _ bytes: UnsafeRawBufferPointer, _ options: DecodeOptions
  ) throws(ImageError) -> ImageProbe {
    var info = thaw_image_info()
    var report = thaw_image_report()
    var choices = cOptions(options, scale: 1)
    let start = bytes.baseAddress?.assumingMemoryBound(to: UInt8.self)
    let status =
      self == .jpeg
      ? thaw_jpeg_probe(start, bytes.count, &choices, &info, &report)
      : thaw_png_probe(start, bytes.count, &choices, &info, &report)
    try check(status, report, options)
    let stored = PixelSize(width: Int(info.width), height: Int(info.height))
    let orientation = ImageOrientation(rawValue: Int(info.orientation)) ?? .upright
    return ImageProbe(
      format: format, size: orientation.swapsSides ? stored.transposed : stored,
      orientation: orientation, channels: Int(info.channels), bitsPerChannel: Int(info.bits),
      hasAlpha: info.has_alpha, isProgressive: info.is_progressive, warnings: warnings(of: report))
  }

  func decode(
    _ bytes: UnsafeRawBufferPointer, _ probe: ImageProbe, scale: Int, _ options: DecodeOptions
  ) throws(ImageError) -> (RGBImage, ImageWarnings) {
    let stored = probe.storedSize
    let size = PixelSize(
      width: ImageDecoder.scaled(stored.width, by: scale),
      height: ImageDecoder.scaled(stored.height, by: scale))
    var report = thaw_image_report()
    var choices = cOptions(options, scale: scale)
    let start = bytes.baseAddress?.assumingMemoryBound(to: UInt8.self)
    let image = try RGBImage(size: size) { (pixels) throws(ImageError) in
      let status =
        self == .jpeg
        ? thaw_jpeg_decode(
          start, bytes.count, &choices, pixels.baseAddress, pixels.count, &report)
        : thaw_png_decode(start, bytes.count, &choices, pixels.baseAddress, pixels.count, &report)
      try check(status, report, options)
    }
    var found = warnings(of: report)
    found.count += probe.warnings.count
    found.first = probe.warnings.first ?? found.first
    return (image, found)
  }

  private func cOptions(_ options: DecodeOptions, scale: Int) -> thaw_decode_options {
    thaw_decode_options(
      max_pixels: UInt64(clamping: options.maximumPixels),
      max_scans: UInt32(clamping: options.maximumScans), scale: UInt32(clamping: scale),
      allow_missing_end: options.allowsMissingEnd,
      background: (options.background.red, options.background.green, options.background.blue))
  }

  private func check(
    _ status: thaw_image_status, _ report: thaw_image_report, _ options: DecodeOptions
  ) throws(ImageError) {
    let detail = messageText(report.message)
    switch status {
    case THAW_IMAGE_OK: return
    case THAW_IMAGE_TRUNCATED: throw .truncated(format, detail: detail)
    case THAW_IMAGE_CORRUPT: throw .corrupt(format, detail: detail)
    case THAW_IMAGE_UNSUPPORTED: throw .unsupportedVariant(what: detail)
    case THAW_IMAGE_TOO_LARGE:
      throw .tooLarge(format, detail: detail, maximumPixels: options.maximumPixels)
    case THAW_IMAGE_TOO_MANY_SCANS: throw .tooManyScans(maximum: options.maximumScans)
    case THAW_IMAGE_NO_MEMORY: throw .outOfMemory(detail: detail)
    // The buffer was made for what the header said.
    default: throw .changedMeanwhile(format, detail: detail)
    }
  }

  private func warnings(of report: thaw_image_report) -> ImageWarnings {
    let first = messageText(report.first_warning)
    return ImageWarnings(count: Int(report.warning_count), first: first.isEmpty ? nil : first)
  }
}

/// The text in a fixed C array of characters.
func messageText<Characters>(_ characters: Characters) -> String {
  withUnsafeBytes(of: characters) { raw in
    String(decoding: raw.prefix { $0 != 0 }, as: UTF8.self)
  }
}
