// SPDX-License-Identifier: Apache-2.0

import SystemPackage
import ThawConsole
import ThawDatasets
import ThawFiles
import ThawImages

/// Rows of squares as one picture.
struct PhotoSheet {
  private let preprocessing: Preprocessing
  private let side: Int
  private static let gap = 4

  /// - Parameter side: of each square, in pixels.
  init(_ preprocessing: Preprocessing, side: Int) {
    self.preprocessing = preprocessing
    self.side = side
  }

  /// What the network sees of a photo, as a picture of the network's size.
  ///
  /// - Throws: `FileError`, `ImageError`.
  func square(_ path: FilePath) throws -> RGBImage {
    let bytes = try PhotoFiles.read(path, limit: 1 << 30)
    return try bytes.withUnsafeBytes {
      preprocessing.square(
        of: try ImageDecoder.decode($0, options: preprocessing.decodeOptions))
    }
  }

  /// Writes rows of photos; one that cannot be read leaves a grey square.
  ///
  /// - Returns: how many squares are grey.
  /// - Throws: ``PipelineError/usage(_:)`` for a name that is neither JPEG nor PNG; `FileError`.
  func write(_ rows: [[FilePath]], to output: FilePath) throws -> Int {
    let grey = RGBColor(red: 200, green: 200, blue: 200)
    let blank = RGBImage(size: PixelSize(width: side, height: side), filledWith: grey)
    let pictures = rows.map { $0.map { try? square($0) } }
    try write(pictures: pictures.map { $0.map { $0 ?? blank } }, to: output)
    return pictures.reduce(0) { $0 + $1.count { $0 == nil } }
  }

  /// Writes rows of pictures, each resized to the sheet's squares.
  func write(pictures rows: [[RGBImage]], to output: FilePath) throws {
    let encode: (RGBImage) throws -> [UInt8]
    switch output.extension?.lowercased() {
    case "jpg", "jpeg": encode = { try JPEGEncoder.encode($0, quality: 88) }
    case "png": encode = { try PNGEncoder.encode($0) }
    default:
      throw PipelineError.usage(
        "\(output.displayed): a contact sheet is a picture. Give it a name that ends in .jpg or .png."
      )
    }
    let columns = rows.map(\.count).max() ?? 0
    guard columns > 0 else { return }
    let step = side + PhotoSheet.gap
    let size = PixelSize(
      width: columns * step + PhotoSheet.gap, height: rows.count * step + PhotoSheet.gap)
    var pixels = [UInt8](repeating: 255, count: size.width * size.height * 3)
    for (row, pictures) in rows.enumerated() {
      for (column, picture) in pictures.enumerated() {
        let small = picture.resized(
          to: PixelSize(width: side, height: side), interpolation: .bilinear)
        let (left, top) = (column * step + PhotoSheet.gap, row * step + PhotoSheet.gap)
        for line in 0..<side {
          let target = ((top + line) * size.width + left) * 3
          let source = line * side * 3
          pixels.replaceSubrange(
            target..<(target + 3 * side), with: small.pixels[source..<(source + 3 * side)])
        }
      }
    }
    try AtomicFile.write(output, bytes: try encode(RGBImage(size: size, pixels: pixels)))
  }
}
