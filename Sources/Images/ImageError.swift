// SPDX-License-Identifier: Apache-2.0

/// Why an image could not be decoded or encoded. The caller knows the file and puts its path in front.
package enum ImageError: Error, Sendable, Equatable, CustomStringConvertible {
  /// There are no bytes.
  case empty
  /// The content is of a format that is not decoded.
  case unsupportedFormat(ImageFormat)
  /// The library for the format was not there when this program was built.
  case missingLibrary(ImageFormat)
  /// The photo has a colour profile that is to be heeded, and the library for that was not there when this
  /// program was built.
  case missingColourLibrary
  /// A format that is decoded, but a variant this build cannot decode: `what` names it.
  case unsupportedVariant(what: String)
  /// The data ends before the image is complete; `detail` says where.
  case truncated(ImageFormat, detail: String)
  /// The data contradicts the format.
  case corrupt(ImageFormat, detail: String)
  /// The header asks for more pixels than allowed; nothing was allocated.
  case tooLarge(ImageFormat, detail: String, maximumPixels: Int)
  /// A progressive JPEG with more scans than allowed: a way to burn time with a small file.
  case tooManyScans(maximum: Int)
  /// The decoder was asked for another image than the bytes hold: they changed since their header was
  /// read.
  case changedMeanwhile(ImageFormat, detail: String)
  /// Memory ran out.
  case outOfMemory(detail: String)
  /// The image cannot be stored in the format (a JPEG side is at most 65 500 pixels).
  case notEncodable(ImageFormat, detail: String)

  /// What is wrong, as a phrase without a full stop, for tables and after a path.
  package var reason: String {
    switch self {
    case .empty: "empty file"
    case .unsupportedFormat(.unknown(let bytes)):
      "not an image: \(ImageFormat.unknown(firstBytes: bytes))"
    case .unsupportedFormat(let format): "\(format) is not supported"
    case .missingLibrary(let format):
      "\(format) is not supported by this build, which was made without \(format.library ?? "its library")"
    case .missingColourLibrary:
      "it has a colour profile, and this program was built without liblcms2-dev"
    case .unsupportedVariant(let what): "\(what) is not supported"
    case .truncated(let format, let detail): "truncated \(format), \(detail)"
    case .corrupt(let format, let detail): "corrupt \(format): \(detail)"
    case .tooLarge(_, let detail, let maximum):
      "\(detail) is more than the limit of \(maximum) pixels"
    case .tooManyScans(let maximum): "progressive JPEG with more than \(maximum) scans"
    case .changedMeanwhile(let format, let detail):
      "the \(format) is not the one whose header was read\(detail.isEmpty ? "" : ": \(detail)")"
    case .outOfMemory(let detail): "out of memory: \(detail)"
    case .notEncodable(let format, let detail): "cannot be stored as \(format): \(detail)"
    }
  }

  /// What the reader can do about it, as a sentence.
  package var nextStep: String {
    switch self {
    case .empty, .truncated, .corrupt: "Fetch the file again or leave it out."
    case .unsupportedFormat(.unknown): "Remove it or replace it by a JPEG or PNG."
    case .missingLibrary(let format):
      "Install the package and build again (make), or convert it: \(format.conversion ?? "")."
    case .unsupportedFormat(let format):
      format.conversion.map { "Convert it: \($0)." } ?? "Convert it to an ordinary JPEG or PNG."
    case .missingColourLibrary:
      "Install the package and build again (make), or train with --color-profiles ignore."
    case .unsupportedVariant: "Convert it to an ordinary JPEG or PNG."
    case .tooLarge:
      "Scale it down, or raise the limit of a run with --max-pixels (image: {max_pixels: …}); a model keeps"
        + " the one of its run."
    case .tooManyScans: "Save it again as a baseline JPEG."
    case .changedMeanwhile: "Run again when nothing writes to the file any more."
    case .outOfMemory: "Scale it down or free memory."
    case .notEncodable: "Use PNG or a smaller image."
    }
  }

  /// What, expected against found, next step.
  package var description: String { "\(reason). \(nextStep)" }
}
