// SPDX-License-Identifier: Apache-2.0

/// Writes PNG of every depth, colour type and interlacing without any library: the oracle of the PNG
/// tests. Rows are unfiltered or filtered with Sub, the stream is stored, not compressed.
struct PNGWriter {
  var width: Int
  var height: Int
  var depth: Int
  var colorType: Int
  var interlaced = false
  /// Chunks before the image data, for example PLTE and tRNS.
  var extraChunks: [(String, [UInt8])] = []
  /// The samples of a pixel, `channels` of them, each below 2^depth.
  var samples: (_ x: Int, _ y: Int) -> [Int]

  var channels: Int { [0: 1, 2: 3, 3: 1, 4: 2, 6: 4][colorType] ?? 1 }

  func encoded() -> [UInt8] {
    var header = bigEndian(width) + bigEndian(height)
    header += [UInt8(depth), UInt8(colorType), 0, 0, interlaced ? 1 : 0]
    var bytes: [UInt8] = [0x89, 0x50, 0x4E, 0x47, 0x0D, 0x0A, 0x1A, 0x0A]
    bytes += Self.chunk("IHDR", header)
    for (name, body) in extraChunks { bytes += Self.chunk(name, body) }
    return bytes + Self.chunk("IDAT", stored(rows())) + Self.chunk("IEND", [])
  }

  private func rows() -> [UInt8] {
    // Adam7: first column, first row, column step, row step.
    let passes =
      interlaced
      ? [
        (0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2),
        (0, 1, 1, 2),
      ] : [(0, 0, 1, 1)]
    var bytes: [UInt8] = []
    for (x0, y0, dx, dy) in passes where x0 < width {
      for y in stride(from: y0, to: height, by: dy) {
        bytes += filtered(packed(stride(from: x0, to: width, by: dx).flatMap { samples($0, y) }), y)
      }
    }
    return bytes
  }

  private func packed(_ row: [Int]) -> [UInt8] {
    if depth == 16 { return row.flatMap { [UInt8($0 >> 8), UInt8($0 & 255)] } }
    var bytes = [UInt8](repeating: 0, count: (row.count * depth + 7) / 8)
    for (index, sample) in row.enumerated() {
      let bit = index * depth
      bytes[bit / 8] |= UInt8(truncatingIfNeeded: sample << (8 - depth - bit % 8))
    }
    return bytes
  }

  // Every other row with filter Sub, so that both kinds are read.
  private func filtered(_ row: [UInt8], _ y: Int) -> [UInt8] {
    guard y % 2 == 1 else { return [0] + row }
    let step = max(channels * depth / 8, 1)
    return [1] + row.indices.map { $0 < step ? row[$0] : row[$0] &- row[$0 - step] }
  }

  private func stored(_ data: [UInt8]) -> [UInt8] {
    var stream: [UInt8] = [0x78, 0x01]
    var at = 0
    while at < data.count {
      let count = min(65_535, data.count - at)
      let isLast: UInt8 = at + count == data.count ? 1 : 0
      stream += [isLast, UInt8(count & 255), UInt8(count >> 8)]
      stream += [UInt8(~count & 255), UInt8(~count >> 8 & 255)]
      stream += data[at..<(at + count)]
      at += count
    }
    var (low, high) = (1, 0)
    for byte in data {
      low = (low + Int(byte)) % 65_521
      high = (high + low) % 65_521
    }
    return stream + bigEndian(high << 16 | low)
  }

  static func chunk(_ name: String, _ body: [UInt8]) -> [UInt8] {
    let content = Array(name.utf8) + body
    return bigEndian(body.count) + content + bigEndian(Int(crc(content)))
  }

  static func crc(_ bytes: [UInt8]) -> UInt32 {
    var crc: UInt32 = 0xFFFF_FFFF
    for byte in bytes {
      crc ^= UInt32(byte)
      for _ in 0..<8 { crc = crc & 1 == 1 ? crc >> 1 ^ 0xEDB8_8320 : crc >> 1 }
    }
    return ~crc
  }
}

private func bigEndian(_ value: Int) -> [UInt8] {
  [24, 16, 8, 0].map { UInt8(value >> $0 & 255) }
}
