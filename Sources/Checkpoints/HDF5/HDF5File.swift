// SPDX-License-Identifier: Apache-2.0

import ThawArchives

/// An HDF5 file, read strictly and only as far as weight files need it.
///
/// Read: superblock versions 0 to 3; object headers of both versions; groups as symbol tables or as
/// link messages; contiguous, compact and chunked data with deflate and shuffle; texts of fixed and
/// variable length in attributes. Refused by name: soft and external links, external and virtual
/// data, dense storage of links and attributes, other filters, big-endian numbers.
///
/// A file decides neither how much memory is taken nor how long reading takes: every structure is
/// visited once, and all of them together may have only so many bytes (``budget``).
///
/// Own code and not libhdf5: what is read here is a small part of the format, in memory-safe code and
/// within bounds of our own. In the library's readers memory errors on damaged files have been
/// published, for example CVE-2021-45830, CVE-2024-29157 and CVE-2024-33877 (up to 1.14.3).
///
/// - Source: The HDF Group, HDF5 File Format Specification Version 3.0.
struct HDF5File {
  let source: ByteSource
  /// Where the header of the root group is.
  let root: Int
  /// Bytes of structures that may still be read.
  private(set) var budget: Int
  /// Addresses of structures that were read.
  private var visited: Set<Int> = []
  /// The texts of a global heap by its address.
  var heaps: [Int: [UInt16: Range<Int>]] = [:]
  /// The data of contiguous sets, to find overlaps.
  var occupied: [Range<Int>] = []
  /// Bytes that all data sets will have in memory.
  var unpackedBytes = 0

  init(_ source: ByteSource) throws(CheckpointError) {
    self.source = source
    budget = 2 * min(source.count, 1 << 40) + 1 << 20
    root = try HDF5File.rootAddress(source)
  }

  private static func rootAddress(_ source: ByteSource) throws(CheckpointError) -> Int {
    var cursor = ByteCursor(source)
    guard try cursor.bytes(8) == FileSignature.hdf5Magic else {
      throw cursor.error(.wrongFormat, "this is no HDF5 file", at: 0)
    }
    let version = try cursor.byte()
    guard version <= 3 else {
      throw cursor.error(
        .refused, "refuses HDF5 superblock version \(version), 0 to 3 are known", at: 8)
    }
    if version < 2 { try cursor.skip(4) }
    let sizes = [try cursor.byte(), try cursor.byte()]
    guard sizes == [8, 8] else {
      throw cursor.error(
        .refused, "refuses HDF5 addresses and lengths of \(sizes[0]) and \(sizes[1]) bytes", at: 9)
    }
    // Reserved, two numbers of B-trees and flags; or flags alone.
    try cursor.skip(version < 2 ? 9 + (version == 1 ? 4 : 0) : 1)
    guard try cursor.integer(UInt64.self) == 0 else {
      throw cursor.error(.refused, "refuses an HDF5 file inside another file")
    }
    try cursor.skip(8)
    let end = try cursor.integer(UInt64.self)
    guard end <= UInt64(source.count) else {
      throw cursor.error(
        .truncated, "the HDF5 file has \(source.count) bytes, it should have \(end)",
        at: source.count)
    }
    if version < 2 { try cursor.skip(16) }
    let root = try cursor.integer(UInt64.self)
    guard root < UInt64(source.count) else {
      throw cursor.error(.malformed, "the root group lies outside the file")
    }
    return Int(root)
  }

  /// A cursor over the structure at `address`, which is read once and has `count` bytes.
  ///
  /// - Parameter label: what it is, for messages.
  mutating func structure(
    at address: Int, count: Int, _ label: String
  ) throws(CheckpointError) -> ByteCursor {
    guard address >= 0, count >= 0, address <= source.count, count <= source.count - address else {
      throw error(.malformed, "\(label) of \(count) bytes lies outside the file", at: address)
    }
    guard visited.insert(address).inserted else {
      throw error(.malformed, "\(label) is used twice", at: address)
    }
    try spend(count, label, at: address)
    return ByteCursor(source, from: address, to: address + count)
  }

  /// Counts `bytes` that a structure has or leads to.
  mutating func spend(_ bytes: Int, _ label: String, at address: Int) throws(CheckpointError) {
    guard bytes <= budget, visited.count <= 4 * CheckpointLimits.hdf5Objects else {
      throw error(.tooLarge, "\(label) makes the HDF5 file's structures too large", at: address)
    }
    budget -= bytes
  }

  func error(
    _ kind: CheckpointError.Kind, _ reason: String, at address: Int, nextStep: String? = nil
  ) -> CheckpointError {
    let advice =
      kind == .refused ? "Save the weights again with Keras: model.save_weights(path)." : nil
    return CheckpointError(
      source.path, kind, reason, at: address, nextStep: nextStep ?? advice)
  }
}

extension ByteCursor {
  /// An HDF5 address; nil for the undefined one.
  mutating func address() throws(CheckpointError) -> Int? {
    let place = position
    let value = try integer(UInt64.self)
    if value == .max { return nil }
    guard value <= UInt64(source.count) else {
      throw error(.malformed, "an HDF5 address lies outside the file", at: place)
    }
    return Int(value)
  }

  /// An HDF5 length or count that must fit a word of ours.
  mutating func length() throws(CheckpointError) -> Int {
    let place = position
    guard let value = Int(exactly: try integer(UInt64.self)) else {
      throw error(.malformed, "an HDF5 length is beyond 2^63", at: place)
    }
    return value
  }

  /// Compares the next four bytes with a structure's name.
  mutating func signature(_ name: String) throws(CheckpointError) {
    let place = position
    guard try bytes(4).elementsEqual(name.utf8) else {
      throw error(.malformed, "an HDF5 structure '\(name)' is expected", at: place)
    }
  }
}
