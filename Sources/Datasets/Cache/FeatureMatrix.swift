// SPDX-License-Identifier: Apache-2.0

import ThawFiles

/// Rows of cached features in a chosen order, read from the mapped file.
///
/// Any number of threads may read at once.
package struct FeatureMatrix: Sendable {
  private let file: MappedFile
  private let rows: [Int]
  private let format: FeatureFormat

  init(file: MappedFile, rows: [Int], format: FeatureFormat) {
    self.file = file
    self.rows = rows
    self.format = format
  }

  /// Number of rows.
  package var count: Int { rows.count }
  /// Numbers in a row.
  package var rowLength: Int { format.rowLength }

  /// Calls `body` with row `index`; the pointer is valid during the call only.
  package func withRow<Result>(
    _ index: Int, _ body: (UnsafeBufferPointer<Float>) throws -> Result
  ) rethrows -> Result {
    try file.withUnsafeBytes { bytes in
      let row = UnsafeRawBufferPointer(
        rebasing: bytes[(rows[index] * format.rowBytes)...].prefix(format.rowBytes))
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
    file.withUnsafeBytes { bytes in
      for (position, index) in indices.enumerated() {
        let row = UnsafeRawBufferPointer(
          rebasing: bytes[(rows[index] * format.rowBytes)...].prefix(format.rowBytes))
        format.decode(
          row,
          into: UnsafeMutableBufferPointer(
            rebasing: target[(position * rowLength)...].prefix(rowLength)))
      }
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
