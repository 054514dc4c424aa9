// SPDX-License-Identifier: Apache-2.0

package import SystemPackage
import ThawFiles
package import ThawImages
import ThawTensors

/// Generated photos that look like their kind and are each unlike any other.
package enum TinyPhotos {
  /// 40 x 40 pixels: colour and stripes tell the kind, noise the number.
  package static func image(kind: Int, number: Int) -> RGBImage {
    let side = 40
    var stream = RandomStream(
      seed: UInt64(kind), purpose: .procedural, epoch: number, sample: 0)
    return RGBImage(size: PixelSize(width: side, height: side)) { samples in
      for index in samples.indices {
        let (pixel, channel) = (index / 3, index % 3)
        let stripe = kind == 0 ? pixel % side : pixel / side
        let bright = channel == kind % 3 ? 150 : 60
        samples[index] = UInt8(bright + (stripe / 4 % 2) * 40 + Int(60 * stream.uniform()))
      }
    }
  }

  /// The image as a PNG.
  package static func png(kind: Int, number: Int) throws -> [UInt8] {
    try PNGEncoder.encode(image(kind: kind, number: number))
  }

  /// The image as a JPEG.
  package static func jpeg(kind: Int, number: Int) throws -> [UInt8] {
    try JPEGEncoder.encode(image(kind: kind, number: number))
  }

  /// Writes `count` JPEG photos of each class to `folder/CLASS`; classes differ in looks.
  package static func write(
    to folder: FilePath, classes: [String] = ["blue", "red"], count: Int = 12
  ) throws {
    for (kind, name) in classes.enumerated() {
      guard let component = FilePath.Component(name) else { continue }
      try FileSystem.createDirectory(folder.appending(component))
      for number in 0..<count {
        try AtomicFile.write(
          folder.appending(component).appending("\(number).jpg"),
          bytes: try jpeg(kind: kind, number: number))
      }
    }
  }
}
