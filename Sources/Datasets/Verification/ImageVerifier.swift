// SPDX-License-Identifier: Apache-2.0

package import ThawImages

/// What a photo turned out to be once it was decoded.
package struct VerifiedImage: Sendable, Hashable {
  /// Pixels across, after the orientation is applied.
  package let width: Int
  /// Pixels down, after the orientation is applied.
  package let height: Int
  /// The format by content, such as `JPEG`.
  package let format: String
  /// What is odd about the file although all its pixels are there.
  package let warnings: [String]
  /// Whether it has no colour to speak of.
  package let isGrey: Bool
  /// What it looks like, to find copies; nil when nobody looked.
  package let thumbnail: PhotoThumbnail?
  /// See `RGBImage.detail`, in thousandths.
  package let detail: Int?
  /// The camera as EXIF names it; empty when it does not.
  package let camera: String

  /// Describes a decoded photo.
  package init(
    width: Int, height: Int, format: String, warnings: [String] = [],
    isGrey: Bool = false, thumbnail: PhotoThumbnail? = nil, detail: Int? = nil,
    camera: String = ""
  ) {
    self.detail = detail
    self.camera = camera
    self.isGrey = isGrey
    self.thumbnail = thumbnail
    self.width = width
    self.height = height
    self.format = format
    self.warnings = warnings
  }
}

/// Decides whether a file's bytes are a photo that can be used, by decoding all of it.
///
/// Called from several threads at once.
package protocol ImageVerifier: Sendable {
  /// Changes whenever an answer could change; results of another verifier are not reused.
  var identity: String { get }

  /// Decodes `bytes`, which are valid during the call only.
  ///
  /// - Throws: any error; its description becomes the reason in the list of bad files.
  func verify(_ bytes: UnsafeRawBufferPointer) throws -> VerifiedImage
}
