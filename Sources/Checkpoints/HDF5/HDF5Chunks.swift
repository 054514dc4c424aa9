// SPDX-License-Identifier: Apache-2.0

import ThawArchives
import ThawTensors

/// A step between stored and plain bytes of a chunk.
enum HDF5Filter: Equatable {
  case deflate
  /// Bytes of equal significance stand together; elements have so many bytes.
  case shuffle(Int)
}

/// An array stored as equally large blocks, each compressed on its own.
struct HDF5Chunks: Sendable {
  struct Chunk: Sendable {
    /// First index along each axis.
    let origin: [Int]
    let address: Int
    let storedSize: Int
    /// Filter k was left out when bit k is set.
    let mask: UInt32
  }

  let label: String
  let shape: Shape
  let elementSize: Int
  /// Extents of a chunk; those at the edges reach beyond the array.
  let chunkShape: Shape
  let filters: [HDF5Filter]
  let chunks: [Chunk]

  /// Calls `body` with the rows of all chunks and where they belong in the row-major bytes.
  func unpack(
    from source: ByteSource, _ body: (UnsafeRawBufferPointer, _ offset: Int) -> Void
  ) throws(CheckpointError) {
    for chunk in chunks {
      var bytes: [UInt8]?
      for (index, filter) in filters.enumerated().reversed()
      where chunk.mask & 1 << UInt32(index) == 0 {
        bytes = try undo(filter, bytes, chunk, source)
      }
      let plain = try plainBytes(bytes, chunk, source)
      guard plain.count == chunkShape.count * elementSize else {
        throw CheckpointError(
          source.path, .malformed, "a chunk of \(label) has \(plain.count) bytes",
          at: chunk.address)
      }
      plain.withUnsafeBytes { forEachRow(of: $0, chunk.origin, body) }
    }
  }

  /// What a step left; before the first one what the file has.
  private func plainBytes(
    _ bytes: [UInt8]?, _ chunk: Chunk, _ source: ByteSource
  ) throws(CheckpointError) -> [UInt8] {
    if let bytes { return bytes }
    return try source.bytes(at: chunk.address, count: chunk.storedSize)
  }

  /// - Parameter before: nil for the stored bytes.
  private func undo(
    _ filter: HDF5Filter, _ before: [UInt8]?, _ chunk: Chunk, _ source: ByteSource
  ) throws(CheckpointError) -> [UInt8] {
    switch filter {
    case .deflate:
      let (input, start) =
        before.map { (ByteSource($0, path: source.path), 0) } ?? (source, chunk.address)
      return try DeflatedBytes(
        source: input, start: start, storedCount: before?.count ?? chunk.storedSize,
        count: chunkShape.count * elementSize, wrapping: .zlib, label: "a chunk of \(label)"
      ).bytes()
    case .shuffle(let size):
      let bytes = try plainBytes(before, chunk, source)
      let count = bytes.count / max(size, 1)
      guard size > 1, count > 1 else { return bytes }
      var plain = bytes  // bytes that fill no element stay at the end
      plain.withUnsafeMutableBufferPointer { plain in
        bytes.withUnsafeBufferPointer { bytes in
          for element in 0..<count {
            for byte in 0..<size { plain[element * size + byte] = bytes[byte * count + element] }
          }
        }
      }
      return plain
    }
  }

  /// The rows of a chunk as far as they lie inside the array.
  private func forEachRow(
    of bytes: UnsafeRawBufferPointer, _ origin: [Int],
    _ body: (UnsafeRawBufferPointer, _ offset: Int) -> Void
  ) {
    let rank = shape.rank
    let extents = (0..<rank).map { min(chunkShape[$0], shape[$0] - origin[$0]) }
    let steps = StridedElements(rowMajor: shape).strides
    let chunkSteps = StridedElements(rowMajor: chunkShape).strides
    let row = (extents.last ?? 1) * elementSize
    var index = [Int](repeating: 0, count: rank)
    var from = 0
    var to = zip(origin, steps).reduce(0) { $0 + $1.0 * $1.1 }
    while true {
      let start = from * elementSize
      body(UnsafeRawBufferPointer(rebasing: bytes[start..<(start + row)]), to * elementSize)
      var axis = rank - 2
      while axis >= 0 {
        index[axis] += 1
        from += chunkSteps[axis]
        to += steps[axis]
        if index[axis] < extents[axis] { break }
        from -= extents[axis] * chunkSteps[axis]
        to -= extents[axis] * steps[axis]
        index[axis] = 0
        axis -= 1
      }
      if axis < 0 { return }
    }
  }
}

extension HDF5File {
  /// Reads a filter pipeline message.
  func filters(
    _ message: HDF5Message?, _ label: String
  ) throws(CheckpointError) -> [HDF5Filter] {
    guard let message else { return [] }
    var cursor = try cursor(message)
    let version = try cursor.byte()
    let count = Int(try cursor.byte())
    guard version == 1 || version == 2, count <= 32 else {
      throw cursor.error(.malformed, "\(label): \(count) filters of version \(version)")
    }
    if version == 1 { try cursor.skip(6) }
    var filters: [HDF5Filter] = []
    for _ in 0..<count {
      let identifier = try cursor.integer(UInt16.self)
      let hasName = version == 1 || identifier >= 256
      let nameLength = hasName ? Int(try cursor.integer(UInt16.self)) : 0
      try cursor.skip(2)
      let valueCount = Int(try cursor.integer(UInt16.self))
      try cursor.skip(version == 1 ? (nameLength + 7) / 8 * 8 : nameLength)
      var values: [Int] = []
      for _ in 0..<valueCount { values.append(Int(try cursor.integer(UInt32.self))) }
      if version == 1, valueCount % 2 == 1 { try cursor.skip(4) }
      switch identifier {
      case 1: filters.append(.deflate)
      case 2: filters.append(.shuffle(values.first ?? 1))
      default:
        throw cursor.error(
          .refused, "refuses \(label): filter \(identifier), deflate and shuffle are known",
          nextStep: "Save it uncompressed or with compression='gzip'.")
      }
    }
    return filters
  }

  /// Reads a chunked layout from its rank on, and finds all chunks.
  mutating func chunks(
    _ cursor: inout ByteCursor, _ type: ElementType, _ shape: Shape, _ filters: [HDF5Filter],
    _ label: String
  ) throws(CheckpointError) -> HDF5Chunks {
    let rank = Int(try cursor.byte()) - 1
    let tree = try cursor.address()
    guard rank == shape.rank, rank >= 1 else {
      throw cursor.error(.malformed, "\(label) \(shape) has chunks of \(rank) dimensions")
    }
    var extents: [Int] = []
    for _ in 0..<rank { extents.append(Int(try cursor.integer(UInt32.self))) }
    let size = Int(try cursor.integer(UInt32.self))
    guard size == type.size, extents.allSatisfy({ $0 > 0 }), let chunk = Shape(checking: extents),
      !chunk.count.multipliedReportingOverflow(by: size).overflow
    else { throw cursor.error(.malformed, "\(label) has chunks of \(extents)") }
    let limit = CheckpointLimits.decompressed(from: source.count)
    let needed = zip(shape.extents, extents).reduce(1) { $0 * (($1.0 - 1) / $1.1 + 1) }
    // What is unpacked on the way: chunks at the edges are whole.
    let padded = (chunk.count * size).multipliedReportingOverflow(by: needed)
    guard !padded.overflow, padded.partialValue <= limit - unpackedBytes else {
      throw cursor.error(
        .tooLarge, "\(label) \(shape) in chunks of \(chunk) would become more than \(limit) bytes",
        nextStep: "Save the weights without compression.")
    }
    unpackedBytes += padded.partialValue
    var found: [HDF5Chunks.Chunk] = []
    if let tree { try collectChunks(at: tree, rank, level: nil, into: &found) }
    guard found.count == needed, Set(found.map(\.origin)).count == needed else {
      throw cursor.error(.malformed, "\(label) \(shape) has \(found.count) of \(needed) chunks")
    }
    for one in found {
      let isInside = zip(zip(one.origin, extents), shape.extents).allSatisfy { place, extent in
        place.0 >= 0 && place.0 % place.1 == 0 && place.0 < extent
      }
      guard isInside, one.storedSize <= source.count - one.address,
        chunk.count * size / 1033 <= one.storedSize
      else { throw error(.malformed, "a chunk of \(label) is impossible", at: one.address) }
    }
    return HDF5Chunks(
      label: label, shape: shape, elementSize: size, chunkShape: chunk, filters: filters,
      chunks: found)
  }

  /// Keys: stored size, filter mask, then an offset an axis and one within the element.
  private mutating func collectChunks(
    at address: Int, _ rank: Int, level: Int?, into found: inout [HDF5Chunks.Chunk]
  ) throws(CheckpointError) {
    let (children, level) = try treeChildren(
      at: address, type: 1, keySize: 8 + 8 * (rank + 1), level: level)
    for child in children {
      guard level == 0 else {
        try collectChunks(at: child.address, rank, level: level - 1, into: &found)
        continue
      }
      var key = ByteCursor(source, from: child.key, to: child.key + 8 + 8 * rank)
      let size = Int(try key.integer(UInt32.self))
      let mask = try key.integer(UInt32.self)
      var origin: [Int] = []
      for _ in 0..<rank { origin.append(try key.length()) }
      found.append(
        HDF5Chunks.Chunk(origin: origin, address: child.address, storedSize: size, mask: mask))
    }
  }
}
