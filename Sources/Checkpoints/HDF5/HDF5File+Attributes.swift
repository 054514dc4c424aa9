// SPDX-License-Identifier: Apache-2.0

import ThawArchives
import ThawTensors

/// Attributes: Keras keeps the names of layers and weights and the model's configuration in them.
extension HDF5File {
  /// The attributes that are texts, or lists of texts, by name.
  mutating func attributes(
    _ messages: [HDF5Message]
  ) throws(CheckpointError) -> [String: [String]] {
    var result: [String: [String]] = [:]
    for message in messages {
      switch message.kind {
      case .attribute:
        guard let (name, texts) = try attribute(message) else { continue }
        guard result.updateValue(texts, forKey: name) == nil else {
          throw error(
            .malformed, "the attribute \(quoted(name)) occurs twice", at: message.body.lowerBound)
        }
      case .attributeInfo: try refuseDenseStorage(message, of: "attributes")
      default: break
      }
    }
    return result
  }

  private mutating func attribute(
    _ message: HDF5Message
  ) throws(CheckpointError) -> (String, [String])? {
    var cursor = try cursor(message)
    let version = try cursor.byte()
    guard (1...3).contains(version) else {
      throw cursor.error(.malformed, "an HDF5 attribute of version \(version)")
    }
    guard try cursor.byte() & 3 == 0 || version == 1 else { return nil }  // a shared type
    let sizes = [
      Int(try cursor.integer(UInt16.self)), Int(try cursor.integer(UInt16.self)),
      Int(try cursor.integer(UInt16.self)),
    ]
    if version == 3 { try cursor.skip(1) }
    // Version 1 pads name, type and space to 8 bytes.
    func part(_ size: Int) throws(CheckpointError) -> ByteCursor {
      let start = cursor.position
      try cursor.skip(version == 1 ? (size + 7) / 8 * 8 : size)
      return ByteCursor(source, from: start, to: start + size)
    }
    var nameCursor = try part(sizes[0])
    let name = text(try nameCursor.bytes(nameCursor.remaining))
    var typeCursor = try part(sizes[1])
    let type = try HDF5Type(&typeCursor)
    var spaceCursor = try part(sizes[2])
    guard let shape = try shape(&spaceCursor) else { return nil }
    guard type.size <= 1 << 16, shape.count <= 1 << 20 else {
      throw cursor.error(.tooLarge, "the attribute \(quoted(name)) has \(shape.count) elements")
    }
    switch type {
    case .text(let size):
      guard size > 0 else { return (name, []) }
      var texts: [String] = []
      for _ in 0..<shape.count { texts.append(text(try cursor.bytes(size))) }
      return (name, texts)
    case .variableText:
      var texts: [String] = []
      for _ in 0..<shape.count { texts.append(try heapText(&cursor)) }
      return (name, texts)
    default: return nil
    }
  }

  /// A text up to its padding.
  private func text(_ bytes: [UInt8]) -> String {
    String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
  }

  /// A text of variable length: its length, and where it is in a global heap.
  private mutating func heapText(_ cursor: inout ByteCursor) throws(CheckpointError) -> String {
    let place = cursor.position
    let count = Int(try cursor.integer(UInt32.self))
    let address = try cursor.address()
    let index = try cursor.integer(UInt32.self)
    guard count > 0, let address, address > 0 else { return "" }
    if heaps[address] == nil { heaps[address] = try globalHeap(address) }
    guard let index = UInt16(exactly: index), let range = heaps[address]?[index],
      count <= range.count
    else { throw error(.malformed, "a text is missing in its global heap", at: place) }
    try spend(count, "a text", at: place)
    return text(try source.bytes(at: range.lowerBound, count: count))
  }

  private mutating func globalHeap(
    _ address: Int
  ) throws(CheckpointError) -> [UInt16: Range<Int>] {
    var head = ByteCursor(source, from: address)
    try head.signature("GCOL")
    try head.skip(4)
    var cursor = try structure(at: address, count: try head.length(), "a global heap")
    try cursor.skip(16)
    var objects: [UInt16: Range<Int>] = [:]
    while cursor.remaining >= 16 {
      let index = try cursor.integer(UInt16.self)
      try cursor.skip(6)
      let count = try cursor.length()
      guard index != 0 else { break }  // the free space at the end
      let start = cursor.position
      guard count <= cursor.remaining, objects[index] == nil else {
        throw cursor.error(.malformed, "a global heap contradicts itself")
      }
      objects[index] = start..<(start + count)
      try cursor.skip(min((count + 7) / 8 * 8, cursor.remaining))
    }
    return objects
  }
}
