// SPDX-License-Identifier: Apache-2.0

package import SystemPackage
import ThawDatasets
package import ThawImages
package import ThawTensors

/// A photo as the network sees it.
package struct SeenPhoto {
  /// The square before it is normalised.
  package let square: RGBImage
  /// [3, H, W]
  package let pixels: AlignedStorage<Float>
  private let original: PixelSize
  private let contract: Preprocessing

  /// Reads a file.
  ///
  /// - Throws: `FileError`, `ImageError`.
  package init(_ path: FilePath, _ contract: Preprocessing) throws {
    let bytes = try PhotoFiles.read(path, limit: 1 << 30)
    let decoded = try bytes.withUnsafeBytes {
      try ImageDecoder.decode($0, options: contract.decodeOptions)
    }
    original = decoded.originalSize
    self.contract = contract
    square = contract.square(of: decoded)
    pixels = AlignedStorage(count: contract.elementCount)
    contract.preprocess(decoded, into: pixels.elements)
  }

  /// A place of the square, 0...1, in pixels of the whole photo.
  func place(_ place: (x: Double, y: Double)) -> (x: Double, y: Double) {
    let (resized, crop) = contract.geometry(of: original)
    func photo(_ start: Int, _ share: Double, _ small: Int, _ large: Int) -> Double {
      (Double(start) + share * Double(square.width)) * Double(large) / Double(small)
    }
    return (
      x: photo(crop.x, place.x, resized.width, original.width),
      y: photo(crop.y, place.y, resized.height, original.height)
    )
  }
}
