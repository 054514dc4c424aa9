// SPDX-License-Identifier: Apache-2.0

import ThawArchives
import ThawTensors

/// The elements of an array in an HDF5 file.
struct HDF5Dataset {
  enum Storage {
    /// In one run from a byte of the file on.
    case contiguous(Int)
    /// In pieces that are unpacked on demand.
    case chunked(HDF5Chunks)
    /// There are none that could be read, and why.
    case unreadable(CheckpointError)
  }

  let elementType: ElementType
  let shape: Shape
  let storage: Storage

  /// The array as a tensor.
  ///
  /// - Throws: ``CheckpointError`` when its elements cannot be read.
  func tensor(_ name: String, in source: ByteSource) throws(CheckpointError) -> StoredTensor {
    switch storage {
    case .contiguous(let offset):
      return StoredTensor(name: name, elementType, shape, in: source, offset: offset)
    case .chunked(let chunks):
      return StoredTensor(name, elementType, shape) { (body) throws(CheckpointError) in
        try chunks.unpack(from: source, body)
      }
    case .unreadable(let error): throw error
    }
  }
}

extension HDF5File {
  /// Reads the messages of a data set. Elements of a type that is no number make it unreadable, not
  /// the file: it may be none of the weights.
  mutating func dataset(
    _ messages: [HDF5Message], _ attributes: [String: [String]], path: String, at address: Int
  ) throws(CheckpointError) -> HDF5Dataset {
    let label = quoted("/" + path)
    func only(_ kind: HDF5Message.Kind) throws(CheckpointError) -> HDF5Message? {
      let found = messages.filter { $0.kind == kind }
      guard found.count <= 1 else {
        throw error(.malformed, "\(label) is described twice", at: address)
      }
      return found.first
    }
    if try only(.externalFiles) != nil {
      throw error(.refused, "refuses \(label): its data is in another file", at: address)
    }
    guard let space = try only(.dataspace), let typeMessage = try only(.datatype),
      let layout = try only(.layout)
    else { throw error(.malformed, "\(label) has no type or no data", at: address) }
    var spaceCursor = try cursor(space)
    let shape = try self.shape(&spaceCursor)
    guard !typeMessage.isShared else {
      return unreadable(label, "elements of a named type", shape, address)
    }
    var typeCursor = try cursor(typeMessage)
    let type = try HDF5Type(&typeCursor)
    let elementType: ElementType
    switch type {
    case .number(let number): elementType = number
    case .opaque(2) where attributes["dtype"] == ["bfloat16"]: elementType = .bfloat16
    case .other(let what, _): return unreadable(label, what, shape, address)
    case .text, .variableText: return unreadable(label, "texts", shape, address)
    case .opaque: return unreadable(label, "opaque elements", shape, address)
    }
    guard let shape, shape.count > 0 else {
      return HDF5Dataset(elementType: elementType, shape: shape ?? [0], storage: .contiguous(0))
    }
    let filters = try self.filters(try only(.filters), label)
    let storage = try storage(layout, elementType, shape, filters, label)
    return HDF5Dataset(elementType: elementType, shape: shape, storage: storage)
  }

  private func unreadable(
    _ label: String, _ what: String, _ shape: Shape?, _ address: Int
  ) -> HDF5Dataset {
    HDF5Dataset(
      elementType: .uint8, shape: shape ?? [0],
      storage: .unreadable(error(.refused, "refuses \(label): \(what)", at: address)))
  }

  private mutating func storage(
    _ message: HDF5Message, _ type: ElementType, _ shape: Shape, _ filters: [HDF5Filter],
    _ label: String
  ) throws(CheckpointError) -> HDF5Dataset.Storage {
    var cursor = try cursor(message)
    let version = try cursor.byte()
    let kind = try cursor.byte()
    guard version == 3 || version == 4 && kind <= 1 else {
      let what = kind == 3 ? "virtual data" : "data layout version \(version), 3 is read"
      throw cursor.error(
        .refused, "refuses \(label): \(what)",
        nextStep: "Write it with h5py's default libver, as Keras does.")
    }
    let bytes = shape.count * type.size
    switch kind {
    case 0:
      let count = Int(try cursor.integer(UInt16.self))
      guard count == bytes else { throw wrongSize(label, type, shape, count, cursor) }
      let start = cursor.position
      try cursor.skip(count)
      return .contiguous(start)
    case 1:
      guard let start = try cursor.address() else {
        throw cursor.error(.malformed, "\(label) \(shape) has no data")
      }
      let count = try cursor.length()
      guard count == bytes, filters.isEmpty else {
        throw wrongSize(label, type, shape, count, cursor)
      }
      guard count <= source.count - start else {
        throw error(
          .truncated,
          "\(label) needs bytes up to \(start) + \(count), the file has"
            + " \(source.count)", at: source.count)
      }
      occupied.append(start..<(start + count))
      return .contiguous(start)
    case 2: return .chunked(try chunks(&cursor, type, shape, filters, label))
    default: throw cursor.error(.refused, "refuses \(label): data layout class \(kind)")
    }
  }

  private func wrongSize(
    _ label: String, _ type: ElementType, _ shape: Shape, _ count: Int, _ cursor: ByteCursor
  ) -> CheckpointError {
    cursor.error(.malformed, "\(label) \(type.rawValue) \(shape) has \(count) bytes of data")
  }
}
