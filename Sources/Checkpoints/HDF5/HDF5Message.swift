// SPDX-License-Identifier: Apache-2.0

import ThawArchives

/// A message of an object header: a property of a group or a data set.
struct HDF5Message {
  enum Kind: UInt16 {
    case dataspace = 0x01
    case linkInfo = 0x02
    case datatype = 0x03
    case link = 0x06
    case externalFiles = 0x07
    case layout = 0x08
    case filters = 0x0B
    case attribute = 0x0C
    case continuation = 0x10
    case symbolTable = 0x11
    case attributeInfo = 0x15
  }

  let kind: Kind
  let body: Range<Int>
  /// The message is elsewhere and shared by several objects.
  let isShared: Bool
}

extension HDF5File {
  /// A cursor over a message's body.
  func cursor(_ message: HDF5Message) throws(CheckpointError) -> ByteCursor {
    guard !message.isShared else {
      throw error(.refused, "refuses a shared HDF5 message", at: message.body.lowerBound)
    }
    return ByteCursor(source, from: message.body.lowerBound, to: message.body.upperBound)
  }

  /// The messages of the object header at `address` that matter here.
  mutating func messages(at address: Int) throws(CheckpointError) -> [HDF5Message] {
    var start = ByteCursor(source, from: address)
    let isNew = try start.bytes(4).elementsEqual("OHDR".utf8)
    return isNew ? try newMessages(at: address) : try oldMessages(at: address)
  }

  /// Version 1: a prefix of 16 bytes, then blocks of messages aligned to 8 bytes.
  private mutating func oldMessages(at address: Int) throws(CheckpointError) -> [HDF5Message] {
    var prefix = try structure(at: address, count: 16, "an object header")
    guard try prefix.byte() == 1 else {
      throw prefix.error(.malformed, "an HDF5 object header is expected", at: address)
    }
    try prefix.skip(1)
    var left = Int(try prefix.integer(UInt16.self))
    try prefix.skip(4)
    let size = Int(try prefix.integer(UInt32.self))
    var blocks = [(start: address + 16, count: size)]
    var messages: [HDF5Message] = []
    while let block = blocks.popLast() {
      var cursor = try structure(at: block.start, count: block.count, "an object header's messages")
      while left > 0, cursor.remaining >= 8 {
        let type = try cursor.integer(UInt16.self)
        let count = Int(try cursor.integer(UInt16.self))
        let flags = try cursor.byte()
        try cursor.skip(3)
        left -= 1
        try add(type, count, flags, &cursor, to: &messages, &blocks)
      }
    }
    return messages
  }

  /// Version 2: blocks with a name at the front and a checksum at the end.
  private mutating func newMessages(at address: Int) throws(CheckpointError) -> [HDF5Message] {
    var prefix = ByteCursor(source, from: address)
    try prefix.signature("OHDR")
    guard try prefix.byte() == 2 else {
      throw prefix.error(.refused, "refuses an HDF5 object header of an unknown version")
    }
    let headerFlags = try prefix.byte()
    try prefix.skip((headerFlags & 0x20 != 0 ? 16 : 0) + (headerFlags & 0x10 != 0 ? 4 : 0))
    let width = 1 << Int(headerFlags & 3)
    var size = 0
    for (index, byte) in try prefix.bytes(width).enumerated() where index < 7 {
      size |= Int(byte) << (8 * index)
    }
    var blocks = [(start: prefix.position, count: size)]
    var messages: [HDF5Message] = []
    var isFirst = true
    while let block = blocks.popLast() {
      var cursor = try structure(at: block.start, count: block.count, "an object header's messages")
      if !isFirst {
        try cursor.signature("OCHK")
        guard block.count >= 8 else { throw cursor.error(.malformed, "an HDF5 block is too small") }
        cursor = ByteCursor(source, from: block.start + 4, to: block.start + block.count - 4)
      }
      isFirst = false
      let messageHeader = headerFlags & 4 != 0 ? 6 : 4
      while cursor.remaining >= messageHeader {
        let type = UInt16(try cursor.byte())
        let count = Int(try cursor.integer(UInt16.self))
        let flags = try cursor.byte()
        try cursor.skip(messageHeader - 4)
        try add(type, count, flags, &cursor, to: &messages, &blocks)
      }
    }
    return messages
  }

  /// Keeps one message, or the block that it says the header goes on with.
  private mutating func add(
    _ type: UInt16, _ count: Int, _ flags: UInt8, _ cursor: inout ByteCursor,
    to messages: inout [HDF5Message], _ blocks: inout [(start: Int, count: Int)]
  ) throws(CheckpointError) {
    let start = cursor.position
    try cursor.skip(count)
    guard let kind = HDF5Message.Kind(rawValue: type) else { return }
    let message = HDF5Message(
      kind: kind, body: start..<(start + count), isShared: flags & 2 != 0)
    guard kind == .continuation else { return messages.append(message) }
    var body = try self.cursor(message)
    guard let address = try body.address() else { return }
    blocks.append((address, try body.length()))
  }
}
