// SPDX-License-Identifier: Apache-2.0

import CThawHEIF
import CThawImageCodecs
import CThawLCMS
import Synchronization

/// The colour profile inside a photo: what its numbers mean where they are not sRGB's.
///
/// Phones and cameras write Display P3 and Adobe RGB, printers and scanners their own. Numbers of such a
/// profile that are taken for sRGB's give paler or stronger colours than the photographer saw.
enum ColourProfile {
  /// A way to sRGB; may be used by several threads at once.
  final class Transform: @unchecked Sendable {
    // Nothing in it changes once it is made.
    private let handle: OpaquePointer

    fileprivate init(_ handle: OpaquePointer) { self.handle = handle }

    deinit { thaw_colour_close(handle) }

    /// Whether it is one of grey, which says nothing of colours.
    var isGrey: Bool { thaw_colour_is_grey(handle) }

    /// The colours of an image in place.
    func convert(_ image: inout RGBImage) {
      image.withMutablePixels { pixels in
        thaw_colour_convert(handle, pixels.baseAddress, pixels.count / 3)
      }
    }

    /// Calls `body` with a converter of inks, which is valid during the call.
    func withInkConverter<Result, Failure: Error>(
      _ body: (UnsafePointer<thaw_ink_converter>) throws(Failure) -> Result
    ) throws(Failure) -> Result {
      var converter = thaw_ink_converter(
        convert: thaw_colour_convert_inks, context: UnsafeMutableRawPointer(handle))
      return try body(&converter)
    }
  }

  /// What a profile comes to.
  enum Meaning: Sendable {
    /// There is none, or it is sRGB's.
    case same
    case transform(Transform)
    /// It cannot be used, and why.
    case unusable(String)
  }

  /// What the profile of a photo comes to.
  ///
  /// - Throws: ``ImageError/missingColourLibrary`` for one that this build cannot tell from sRGB.
  static func meaning(
    of bytes: UnsafeRawBufferPointer, _ probe: ImageProbe, _ options: DecodeOptions
  ) throws(ImageError) -> Meaning {
    var (profile, count): (UnsafeMutablePointer<UInt8>?, Int) = (nil, 0)
    let status = find(bytes, probe.format, options, &profile, &count)
    defer { thaw_image_free(profile) }
    switch status {
    case THAW_ICC_FOUND: break
    case THAW_ICC_DAMAGED: return .unusable("the colour profile is damaged and ignored")
    case THAW_ICC_NO_MEMORY: throw .outOfMemory(detail: "copying a colour profile")
    default: return .same
    }
    let key = Key(
      bytes: Array(UnsafeBufferPointer(start: profile, count: count)), isCMYK: probe.isCMYK)
    if let known = known.withLock({ $0[key] }) { return known }
    let meaning = try open(key)
    known.withLock { known in
      // Photos of a data set come from few devices.
      if known.count >= 64 { known = [:] }
      known[key] = meaning
    }
    return meaning
  }

  private struct Key: Hashable {
    let bytes: [UInt8]
    let isCMYK: Bool
  }

  private static let known = Mutex<[Key: Meaning]>([:])

  private static func open(_ key: Key) throws(ImageError) -> Meaning {
    var handle: OpaquePointer?
    var name = [CChar](repeating: 0, count: 128)
    let status = thaw_colour_open(
      key.bytes, key.bytes.count, key.isCMYK, &handle, &name, name.count)
    switch status {
    case THAW_COLOUR_OK: return handle.map { .transform(Transform($0)) } ?? .same
    case THAW_COLOUR_SAME: return .same
    case THAW_COLOUR_MISSING: throw .missingColourLibrary
    default:
      let text = name.withUnsafeBytes { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
      return .unusable(
        "the colour profile\(text.isEmpty ? "" : " '\(text)'") does not fit the photo and is ignored"
      )
    }
  }

  private static func find(
    _ bytes: UnsafeRawBufferPointer, _ format: ImageFormat, _ options: DecodeOptions,
    _ profile: inout UnsafeMutablePointer<UInt8>?, _ count: inout Int
  ) -> thaw_icc_status {
    let start = bytes.baseAddress?.assumingMemoryBound(to: UInt8.self)
    func find(_ container: thaw_icc_container) -> thaw_icc_status {
      thaw_icc_find(container, start, bytes.count, &profile, &count)
    }
    switch format {
    case .jpeg: return find(THAW_ICC_JPEG)
    case .png: return find(THAW_ICC_PNG)
    case .webp: return find(THAW_ICC_WEBP)
    case .tiff: return find(THAW_ICC_TIFF)
    case .heic, .avif:
      var choices = thaw_decode_options()
      choices.max_pixels = UInt64(clamping: options.maximumPixels)
      return thaw_heif_profile(start, bytes.count, &choices, &profile, &count)
    default: return THAW_ICC_NONE
    }
  }
}
