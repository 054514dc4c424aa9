// SPDX-License-Identifier: Apache-2.0

package import ThawImages

/// Verifies photos with ``/Images/ImageDecoder``.
///
/// All data of a file is read and entropy-decoded, so that damage anywhere is found; a JPEG is computed at
/// an eighth of its size, or as small as its thumbnail allows, which takes a sixtieth of the memory.
package struct DecodingVerifier: ImageVerifier {
  private struct Refusal: Error, CustomStringConvertible { let description: String }

  private let options: DecodeOptions

  /// Verifies with the limits of `options`.
  package init(options: DecodeOptions = DecodeOptions()) {
    var options = options
    let side = 2 * PhotoThumbnail.side
    options.minimumSize = PixelSize(width: side, height: side)
    self.options = options
  }

  /// The decoder's version, its formats and the limits that decide what is refused.
  package var identity: String {
    let formats = ImageFormat.decodable.map(\.description).joined(separator: " ")
    return "images 3, \(formats), pixels \(options.maximumPixels), scans \(options.maximumScans),"
      + " missing end \(options.allowsMissingEnd), profiles \(options.convertsProfiles), stretch"
      + " \(options.stretchesSixteenBits)"
  }

  /// Decodes all of `bytes`.
  ///
  /// - Throws: an error whose description is `ImageError.reason`.
  package func verify(_ bytes: UnsafeRawBufferPointer) throws -> VerifiedImage {
    do throws(ImageError) {
      let decoded = try ImageDecoder.decode(bytes, options: options)
      let size = decoded.originalSize
      return VerifiedImage(
        width: size.width, height: size.height, format: decoded.format.description,
        warnings: decoded.warnings.texts, isGrey: decoded.image.isGrey,
        thumbnail: PhotoThumbnail(decoded.image),
        detail: decoded.image.detail.map { Int($0 * 1000) }, camera: decoded.camera ?? "")
    } catch {
      throw Refusal(description: error.reason)
    }
  }
}

extension ImageWarnings {
  /// At most one line: the first warning and how many more there are.
  fileprivate var texts: [String] {
    guard count > 0 else { return [] }
    let text = first ?? "damage that costs no pixel"
    return [count > 1 ? "\(text) (and \(count - 1) more warnings)" : text]
  }
}
