// SPDX-License-Identifier: Apache-2.0

/// Reads the run-length encoded pixels of a BMP with 4 or 8 bits.
struct BMPRuns {
  private let header: BMPHeader
  private let bytes: UnsafeRawBufferPointer
  private let width: Int
  private let height: Int
  private var x = 0
  /// From the row that the file has first.
  private var y = 0
  private var result: [UInt8]

  init(_ header: BMPHeader, _ bytes: UnsafeRawBufferPointer) {
    self.header = header
    self.bytes = bytes
    width = header.size.width
    height = header.size.height
    result = [UInt8](repeating: 0, count: width * height)
  }

  /// The palette's index of every pixel, rows from the top. What no run mentions has the index 0.
  ///
  /// Every turn of the loop takes bytes from the file, so that it ends.
  consuming func indices() throws(ImageError) -> [UInt8] {
    let reader = BMPReader(bytes: bytes)
    var at = header.offset
    while y < height {
      // The end may be missing once all pixels are there.
      if at >= bytes.count, y == height - 1, x >= width { break }
      let (count, value) = (Int(try reader.u8(at)), try reader.u8(at + 1))
      at += 2
      if count > 0 {
        for index in 0..<count { put(color(value, index)) }
      } else if value == 0 {
        (x, y) = (0, y + 1)
      } else if value == 1 {
        break
      } else if value == 2 {
        x += Int(try reader.u8(at))
        y += Int(try reader.u8(at + 1))
        at += 2
      } else {
        let length = header.bits == 8 ? Int(value) : (Int(value) + 1) / 2
        for index in 0..<Int(value) {
          put(color(try reader.u8(at + (header.bits == 8 ? index : index / 2)), index))
        }
        at += length + length % 2
      }
    }
    return result
  }

  /// The index that a byte of a run holds for the run's pixel `number`.
  private func color(_ byte: UInt8, _ number: Int) -> UInt8 {
    header.bits == 8 ? byte : number % 2 == 0 ? byte >> 4 : byte & 15
  }

  /// Sets the next pixel; what runs over the end of a row is lost, as everywhere.
  private mutating func put(_ index: UInt8) {
    if x < width, y < height {
      result[(header.isTopDown ? y : height - 1 - y) * width + x] = index
    }
    x += 1
  }
}
