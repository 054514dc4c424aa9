// SPDX-License-Identifier: Apache-2.0

public import FoundationEssentials
public import SystemPackage
import ThawImages

/// A photo to be classified: an encoded file in memory, a file on disk, or pixels.
///
/// Making one reads and decodes nothing, except that ``init(rgb:width:height:)`` checks its sizes: a
/// photo is decoded by a worker thread of the classifier when its turn comes.
public struct Photo: Sendable {
  enum Source: Sendable {
    case bytes([UInt8])
    case data(Data)
    case file(FilePath)
    case pixels(RGBImage)
  }

  let source: Source

  /// The bytes of an image file.
  public init(_ bytes: [UInt8]) { source = .bytes(bytes) }

  /// The bytes of an image file.
  public init(_ data: Data) { source = .data(data) }

  /// An image file; at most 1 GiB of it is read, when its turn comes.
  public init(contentsOf path: FilePath) { source = .file(path) }

  /// An image file; at most 1 GiB of it is read, when its turn comes.
  public init(contentsOf path: String) { source = .file(FilePath(path)) }

  /// Decoded pixels, upright, in sRGB.
  ///
  /// They give the answer that a PNG file of the same pixels gives, to the last bit.
  ///
  /// - Parameters:
  ///   - samples: interleaved red, green and blue, 0 to 255, rows from the top, without padding:
  ///     `samples[(y * width + x) * 3 + channel]`.
  ///   - width: columns, at least 1.
  ///   - height: rows, at least 1.
  /// - Throws: ``ImageClassifierError/unusablePhoto(_:)`` unless there are width * height * 3 samples.
  public init(rgb samples: [UInt8], width: Int, height: Int) throws(ImageClassifierError) {
    let (pixels, overflows) = width.multipliedReportingOverflow(by: height)
    guard width > 0, height > 0, !overflows, samples.count % 3 == 0, samples.count / 3 == pixels
    else {
      throw .unusablePhoto(
        "\(samples.count) samples are no photo of \(width) x \(height) pixels in three channels."
          + " Give width * height * 3 of them.")
    }
    source = .pixels(RGBImage(size: PixelSize(width: width, height: height), pixels: samples))
  }
}
