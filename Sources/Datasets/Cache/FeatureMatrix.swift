// SPDX-License-Identifier: Apache-2.0

import ThawFiles

/// Rows of cached features in a chosen order, read from the mapped file.
///
/// Any number of threads may read at once.
package struct FeatureMatrix: Sendable {
  /// Where a row lies.
  struct Row: Sendable {
    let shard: Int
    let row: Int
  }

  /// By shard.
  private let files: [Int: MappedFile]
  private let rows: [Row]
  private let format: FeatureFormat

  init(files: [Int: MappedFile], rows: [Row], format: FeatureFormat) {
    self.files = files
    self.rows = rows
    self.format = format
  }

  /// Calls `body` with the bytes of row `index`.
  private func withBytes<Result>(
    _ index: Int, _ body: (UnsafeRawBufferPointer) throws -> Result
  ) rethrows -> Result {
    let place = rows[index]
    guard let file = files[place.shard] else {
      preconditionFailure("A matrix has the files of all its rows.")
    }
    return try file.withUnsafeBytes { bytes in
      try body(
        UnsafeRawBufferPointer(
          rebasing: bytes[(place.row * format.rowBytes)...].prefix(format.rowBytes)))
    }
  }

  /// Number of rows.
  package var count: Int { rows.count }
  /// Numbers in a row.
  package var rowLength: Int { format.rowLength }

  /// Calls `body` with row `index`; the pointer is valid during the call only.
  package func withRow<Result>(
    _ index: Int, _ body: (UnsafeBufferPointer<Float>) throws -> Result
  ) rethrows -> Result {
    try withBytes(index) { row in
      if format.precision == .float32 { return try body(row.assumingMemoryBound(to: Float.self)) }
      return try withUnsafeTemporaryAllocation(of: Float.self, capacity: rowLength) { buffer in
        format.decode(row, into: buffer)
        return try body(UnsafeBufferPointer(buffer))
      }
    }
  }

  /// Copies the rows `indices` one behind the other; traps unless `target` has exactly their size.
  package func copy(
    _ indices: some Collection<Int>, into target: UnsafeMutableBufferPointer<Float>
  ) {
    precondition(
      target.count == indices.count * rowLength,
      "\(indices.count) rows of \(rowLength) do not fill \(target.count) numbers.")
    for (position, index) in indices.enumerated() {
      let part = UnsafeMutableBufferPointer(
        rebasing: target[(position * rowLength)...].prefix(rowLength))
      withBytes(index) { format.decode($0, into: part) }
    }
  }
}

extension FeatureFormat {
  /// Adds the row's bytes; false, and nothing added, when a number is not finite as stored.
  func encode(_ row: UnsafeBufferPointer<Float>, into bytes: inout [UInt8]) -> Bool {
    switch precision {
    case .float32:
      guard row.allSatisfy(\.isFinite) else { return false }
      bytes.append(contentsOf: UnsafeRawBufferPointer(row))
    case .float16:
      let halves = row.map(Float16.init)
      guard halves.allSatisfy(\.isFinite) else { return false }
      halves.withUnsafeBytes { bytes.append(contentsOf: $0) }
    }
    return true
  }

  func decode(_ row: UnsafeRawBufferPointer, into target: UnsafeMutableBufferPointer<Float>) {
    switch precision {
    case .float32: UnsafeMutableRawBufferPointer(target).copyMemory(from: row)
    case .float16:
      let halves = row.assumingMemoryBound(to: Float16.self)
      for index in target.indices { target[index] = Float(halves[index]) }
    }
  }
}
