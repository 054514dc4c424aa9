// SPDX-License-Identifier: Apache-2.0

import CThawGIF
import CThawHEIF
import CThawImageCodecs
import CThawTIFF
import CThawWebP

/// The libraries behind one face: status and report become values and errors here only.
struct ImageCodec {
  private typealias Probe = (
    UnsafePointer<UInt8>?, Int, UnsafePointer<thaw_decode_options>?,
    UnsafeMutablePointer<thaw_image_info>?, UnsafeMutablePointer<thaw_image_report>?
  ) -> thaw_image_status
  private typealias Decode = (
    UnsafePointer<UInt8>?, Int, UnsafePointer<thaw_decode_options>?, UnsafeMutablePointer<UInt8>?,
    Int, UnsafeMutablePointer<thaw_image_report>?
  ) -> thaw_image_status

  private let format: ImageFormat
  private let probe: Probe
  private let decode: Decode

  /// The codec of a format; nil when none is decoded by a library.
  init?(_ format: ImageFormat) {
    self.format = format
    switch format {
    case .jpeg: (probe, decode) = (thaw_jpeg_probe, thaw_jpeg_decode)
    case .png: (probe, decode) = (thaw_png_probe, thaw_png_decode)
    case .webp: (probe, decode) = (thaw_webp_probe, thaw_webp_decode)
    case .gif: (probe, decode) = (thaw_gif_probe, thaw_gif_decode)
    case .tiff: (probe, decode) = (thaw_tiff_probe, thaw_tiff_decode)
    case .heic, .avif: (probe, decode) = (thaw_heif_probe, thaw_heif_decode)
    default: return nil
    }
  }

  func probe(
    _ bytes: UnsafeRawBufferPointer, _ options: DecodeOptions
  ) throws(ImageError) -> ImageProbe {
    var info = thaw_image_info()
    var report = thaw_image_report()
    var choices = cOptions(options, scale: 1)
    let start = bytes.baseAddress?.assumingMemoryBound(to: UInt8.self)
    // A JPEG can be decoded at an eighth: how large it may be is looked at with what its header says.
    if format == .jpeg {
      choices.max_pixels = UInt64(clamping: options.maximumPixels.bounded(times: 64))
    }
    try check(probe(start, bytes.count, &choices, &info, &report), report, options)
    let stored = PixelSize(width: Int(info.width), height: Int(info.height))
    let orientation = ImageOrientation(rawValue: Int(info.orientation)) ?? .upright
    let progressive = info.is_progressive
    let camera = messageText(info.camera)
    if format == .jpeg,
      stored.width * stored.height > options.maximumPixels.bounded(times: progressive ? 3 : 64)
    {
      throw .tooLarge(.jpeg, detail: "\(stored) pixels", maximumPixels: options.maximumPixels)
    }
    return ImageProbe(
      format: format, size: orientation.swapsSides ? stored.transposed : stored,
      orientation: orientation, channels: Int(info.channels), bitsPerChannel: Int(info.bits),
      hasAlpha: info.has_alpha, isCMYK: info.is_cmyk, camera: camera.isEmpty ? nil : camera,
      isProgressive: info.is_progressive, warnings: warnings(of: report))
  }

  func decode(
    _ bytes: UnsafeRawBufferPointer, _ probe: ImageProbe, scale: Int, _ options: DecodeOptions,
    inks: ColourProfile.Transform? = nil
  ) throws(ImageError) -> (RGBImage, ImageWarnings) {
    guard let inks else { return try decode(bytes, probe, scale: scale, options, converter: nil) }
    return try inks.withInkConverter { (converter) throws(ImageError) in
      try decode(bytes, probe, scale: scale, options, converter: converter)
    }
  }

  private func decode(
    _ bytes: UnsafeRawBufferPointer, _ probe: ImageProbe, scale: Int, _ options: DecodeOptions,
    converter: UnsafePointer<thaw_ink_converter>?
  ) throws(ImageError) -> (RGBImage, ImageWarnings) {
    var report = thaw_image_report()
    var choices = cOptions(options, scale: scale)
    choices.inks = converter
    if format == .jpeg {
      choices.max_pixels = UInt64(clamping: options.maximumPixels.bounded(times: 64))
    }
    let start = bytes.baseAddress?.assumingMemoryBound(to: UInt8.self)
    let image = try RGBImage(size: probe.storedSize.scaled(by: scale)) {
      (pixels) throws(ImageError) in
      try check(
        decode(start, bytes.count, &choices, pixels.baseAddress, pixels.count, &report), report,
        options)
    }
    var found = warnings(of: report)
    // libtiff reads the header again, and warns again.
    found.count =
      format == .tiff
      ? max(found.count, probe.warnings.count) : found.count + probe.warnings.count
    found.first = probe.warnings.first ?? found.first
    return (image, found)
  }

  private func cOptions(_ options: DecodeOptions, scale: Int) -> thaw_decode_options {
    thaw_decode_options(
      max_pixels: UInt64(clamping: options.maximumPixels),
      max_scans: UInt32(clamping: options.maximumScans), scale: UInt32(clamping: scale),
      allow_missing_end: options.allowsMissingEnd,
      background: (options.background.red, options.background.green, options.background.blue),
      stretch: options.stretchesSixteenBits, inks: nil)
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
    case THAW_IMAGE_MISSING: throw .missingLibrary(format)
    // The buffer was made for what the header said.
    default: throw .changedMeanwhile(format, detail: detail)
    }
  }

  private func warnings(of report: thaw_image_report) -> ImageWarnings {
    let first = messageText(report.first_warning)
    return ImageWarnings(count: Int(report.warning_count), first: first.isEmpty ? nil : first)
  }
}

extension Int {
  /// The product, or the largest number there is.
  fileprivate func bounded(times factor: Int) -> Int {
    let (product, isTooLarge) = multipliedReportingOverflow(by: factor)
    return isTooLarge ? .max : product
  }
}

extension PixelSize {
  /// With libjpeg's rounding of a scaled side.
  func scaled(by denominator: Int) -> PixelSize {
    PixelSize(
      width: (width + denominator - 1) / denominator,
      height: (height + denominator - 1) / denominator)
  }
}

/// The text in a fixed C array of characters.
func messageText<Characters>(_ characters: Characters) -> String {
  withUnsafeBytes(of: characters) { raw in
    String(decoding: raw.prefix { $0 != 0 }, as: UTF8.self)
  }
}
