// SPDX-License-Identifier: Apache-2.0

import ThawArchives

/// What a name in an HDF5 file stands for.
enum HDF5Node {
  case group(HDF5Group)
  case dataset(HDF5Dataset)
}

/// A group with everything below it; a class, because a group holds nodes that are groups.
final class HDF5Group {
  /// Attributes that are texts.
  let attributes: [String: [String]]
  /// Members in the file's order.
  let members: [(name: String, node: HDF5Node)]

  init(attributes: [String: [String]], members: [(name: String, node: HDF5Node)]) {
    (self.attributes, self.members) = (attributes, members)
  }

  /// The member called `name`.
  subscript(name: String) -> HDF5Node? { members.first { $0.name == name }?.node }

  /// The node at a path of names separated by slashes.
  subscript(path path: some StringProtocol) -> HDF5Node? {
    var node = HDF5Node.group(self)
    for name in path.split(separator: "/") {
      guard case .group(let group) = node, let next = group[String(name)] else { return nil }
      node = next
    }
    return node
  }
}

extension HDF5File {
  /// The whole tree; checks every structure and no element yet.
  mutating func tree() throws(CheckpointError) -> HDF5Group {
    guard case .group(let group) = try node(at: root, path: "", depth: 0) else {
      throw error(.malformed, "the root of the HDF5 file is no group", at: root)
    }
    occupied.sort { $0.lowerBound < $1.lowerBound }
    for (first, second) in zip(occupied, occupied.dropFirst())
    where second.lowerBound < first.upperBound {
      throw error(.malformed, "two data sets overlap", at: second.lowerBound)
    }
    return group
  }

  private mutating func node(
    at address: Int, path: String, depth: Int
  ) throws(CheckpointError) -> HDF5Node {
    guard depth <= CheckpointLimits.hdf5Depth else {
      throw error(
        .tooLarge, "groups are nested deeper than \(CheckpointLimits.hdf5Depth)", at: address)
    }
    let messages = try messages(at: address)
    let attributes = try attributes(messages)
    if messages.contains(where: { $0.kind == .dataspace }) {
      return .dataset(try dataset(messages, attributes, path: path, at: address))
    }
    var members: [(name: String, node: HDF5Node)] = []
    for link in try links(messages, path: path) {
      let place = path.isEmpty ? link.name : path + "/" + link.name
      members.append((link.name, try node(at: link.address, path: place, depth: depth + 1)))
    }
    return .group(HDF5Group(attributes: attributes, members: members))
  }

  /// Names and addresses of a group's members.
  private mutating func links(
    _ messages: [HDF5Message], path: String
  ) throws(CheckpointError) -> [(name: String, address: Int)] {
    var links: [(name: String, address: Int)] = []
    for message in messages {
      switch message.kind {
      case .symbolTable: links += try symbolTable(message, path)
      case .link: links.append(try link(message, path))
      case .linkInfo: try refuseDenseStorage(message, of: "links")
      default: break
      }
    }
    guard Set(links.map(\.name)).count == links.count else {
      throw error(.malformed, "group \(quoted("/" + path)) has two members of one name", at: root)
    }
    return links
  }

  /// Link info and attribute info: flags, an optional index, then the heap of dense storage.
  func refuseDenseStorage(_ message: HDF5Message, of what: String) throws(CheckpointError) {
    var cursor = try cursor(message)
    try cursor.skip(1)
    let flags = try cursor.byte()
    if flags & 1 != 0 { try cursor.skip(what == "links" ? 8 : 2) }
    guard try cursor.address() == nil else {
      throw error(
        .refused, "refuses dense storage of \(what)", at: message.body.lowerBound,
        nextStep: "Write it with h5py's default libver, as Keras does.")
    }
  }

  /// A link message of a new-style group.
  private func link(
    _ message: HDF5Message, _ path: String
  ) throws(CheckpointError) -> (name: String, address: Int) {
    var cursor = try cursor(message)
    guard try cursor.byte() == 1 else {
      throw cursor.error(.malformed, "an HDF5 link of an unknown version")
    }
    let flags = try cursor.byte()
    let type = flags & 8 != 0 ? try cursor.byte() : 0
    try cursor.skip((flags & 4 != 0 ? 8 : 0) + (flags & 16 != 0 ? 1 : 0))
    var count = 0
    for (index, byte) in try cursor.bytes(1 << Int(flags & 3)).enumerated() where index < 7 {
      count |= Int(byte) << (8 * index)
    }
    let name = try memberName(try cursor.bytes(count), cursor.position)
    guard type == 0 else { throw refusedLink(name, path, cursor.position) }
    guard let address = try cursor.address() else {
      throw cursor.error(.malformed, "the link \(quoted(name)) leads nowhere")
    }
    return (name, address)
  }

  private func refusedLink(_ name: String, _ path: String, _ place: Int) -> CheckpointError {
    error(
      .refused, "refuses \(quoted(path + "/" + name)): a soft or external link", at: place)
  }

  func memberName(_ bytes: [UInt8], _ place: Int) throws(CheckpointError) -> String {
    guard !bytes.isEmpty, bytes.count <= 4096, let name = String(validating: bytes, as: UTF8.self),
      name != ".", name != "..", !bytes.contains(0x2F)
    else { throw error(.malformed, "the name of a group's member is impossible", at: place) }
    return name
  }

  // MARK: Symbol tables

  private mutating func symbolTable(
    _ message: HDF5Message, _ path: String
  ) throws(CheckpointError) -> [(name: String, address: Int)] {
    var cursor = try cursor(message)
    guard let tree = try cursor.address(), let heap = try cursor.address() else {
      throw cursor.error(.malformed, "the symbol table of \(quoted("/" + path)) is missing")
    }
    let names = try localHeap(heap)
    var links: [(name: String, address: Int)] = []
    try treeNodes(at: tree, type: 0, keySize: 8) { file, child throws(CheckpointError) in
      links += try file.symbols(at: child, names, path)
    }
    return links
  }

  /// The bytes that names are in.
  private mutating func localHeap(_ address: Int) throws(CheckpointError) -> ByteSource {
    var cursor = try structure(at: address, count: 32, "a local heap")
    try cursor.signature("HEAP")
    try cursor.skip(4)
    let count = try cursor.length()
    _ = try cursor.length()
    guard let data = try cursor.address() else {
      throw cursor.error(.malformed, "a local heap has no data")
    }
    guard count <= source.count - data else {
      throw cursor.error(.malformed, "a local heap leaves the file")
    }
    try spend(count, "a local heap", at: address)
    return ByteSource(source, start: data, count: count)
  }

  private mutating func symbols(
    at address: Int, _ names: ByteSource, _ path: String
  ) throws(CheckpointError) -> [(name: String, address: Int)] {
    var head = ByteCursor(source, from: address)
    try head.signature("SNOD")
    try head.skip(2)
    let count = Int(try head.integer(UInt16.self))
    var cursor = try structure(at: address, count: 8 + 40 * count, "a symbol table")
    try cursor.skip(8)
    var links: [(name: String, address: Int)] = []
    for _ in 0..<count {
      let place = cursor.position
      let offset = try cursor.length()
      let target = try cursor.address()
      let type = try cursor.integer(UInt32.self)
      try cursor.skip(20)
      let name = try memberName(try nameBytes(names, offset, place), place)
      guard type != 2, let target else { throw refusedLink(name, path, place) }
      links.append((name, target))
    }
    return links
  }

  private func nameBytes(
    _ names: ByteSource, _ offset: Int, _ place: Int
  ) throws(CheckpointError) -> [UInt8] {
    guard offset < names.count else {
      throw error(.malformed, "the name of a group's member lies outside its heap", at: place)
    }
    let bytes = try names.bytes(at: offset, count: min(4097, names.count - offset))
    return Array(bytes.prefix { $0 != 0 })
  }

  /// Calls `body` with the address of every leaf of a version 1 B-tree, in order.
  ///
  /// - Parameter type: 0 for groups, 1 for chunks.
  private mutating func treeNodes(
    at address: Int, type: UInt8, keySize: Int, level: Int? = nil,
    _ body: (inout HDF5File, Int) throws(CheckpointError) -> Void
  ) throws(CheckpointError) {
    let (children, found) = try treeChildren(
      at: address, type: type, keySize: keySize, level: level)
    for child in children {
      if found == 0 {
        try body(&self, child.address)
      } else {
        try treeNodes(at: child.address, type: type, keySize: keySize, level: found - 1, body)
      }
    }
  }

  /// The children of a B-tree node with where their keys begin, and the node's level.
  mutating func treeChildren(
    at address: Int, type: UInt8, keySize: Int, level: Int?
  ) throws(CheckpointError) -> (children: [(address: Int, key: Int)], level: Int) {
    var head = ByteCursor(source, from: address)
    try head.signature("TREE")
    let foundType = try head.byte()
    let found = Int(try head.byte())
    let count = Int(try head.integer(UInt16.self))
    guard foundType == type, found == level ?? found, found <= 16 else {
      throw head.error(.malformed, "a B-tree contradicts itself", at: address)
    }
    let size = 24 + count * (keySize + 8) + keySize
    var cursor = try structure(at: address, count: size, "a B-tree")
    try cursor.skip(24)
    var children: [(address: Int, key: Int)] = []
    for _ in 0..<count {
      let key = cursor.position
      try cursor.skip(keySize)
      guard let child = try cursor.address() else {
        throw cursor.error(.malformed, "a B-tree leads nowhere")
      }
      children.append((child, key))
    }
    return (children, found)
  }
}
