// SPDX-License-Identifier: Apache-2.0

/// Reads a part of a ``ByteSource`` from front to back through a small window.
package struct ByteCursor {
  package let source: ByteSource
  /// The next byte of the source to be read.
  package private(set) var position: Int
  /// The end of the part.
  package let end: Int
  private var window: [UInt8] = []
  private var windowStart: Int

  /// Starts at `start`; nothing at or beyond `end` is read.
  package init(_ source: ByteSource, from start: Int = 0, to end: Int? = nil) {
    self.source = source
    self.end = min(end ?? source.count, source.count)
    position = start
    windowStart = start
  }

  /// A part of what `cursor` reads; bytes that it has in memory already are shared.
  package init(_ cursor: ByteCursor, part: Range<Int>) {
    source = cursor.source
    end = min(part.upperBound, cursor.end)
    position = part.lowerBound
    let isInWindow =
      part.lowerBound >= cursor.windowStart
      && part.lowerBound < cursor.windowStart + cursor.window.count
    window = isInWindow ? cursor.window : []
    windowStart = isInWindow ? cursor.windowStart : part.lowerBound
  }

  package var remaining: Int { max(0, end - position) }

  /// The next byte.
  package mutating func byte() throws(FormatError) -> UInt8 {
    if position - windowStart >= window.count || position >= end { try refill() }
    let byte = window[position - windowStart]
    position += 1
    return byte
  }

  /// The next `count` bytes.
  package mutating func bytes(_ count: Int) throws(FormatError) -> [UInt8] {
    guard count >= 0 && count <= remaining else { throw truncated(needed: count) }
    let start = position - windowStart
    defer { position += count }
    if start + count <= window.count { return Array(window[start..<start + count]) }
    return try source.bytes(at: position, count: count)
  }

  /// The next little-endian integer.
  package mutating func integer<Number: FixedWidthInteger>(
    _ type: Number.Type = Number.self
  ) throws(FormatError) -> Number {
    let size = MemoryLayout<Number>.size
    guard size <= remaining else { throw truncated(needed: size) }
    var number: Number = 0
    for index in 0..<size { number |= Number(truncatingIfNeeded: try byte()) << (8 * index) }
    return number
  }

  /// Passes over `count` bytes.
  package mutating func skip(_ count: Int) throws(FormatError) {
    guard count >= 0 && count <= remaining else { throw truncated(needed: count) }
    position += count
    if position - windowStart > window.count { (window, windowStart) = ([], position) }
  }

  /// An error at the current position.
  package func error(
    _ kind: FormatError.Kind, _ reason: String, at offset: Int? = nil, nextStep: String? = nil
  ) -> FormatError {
    FormatError(source.path, kind, reason, at: offset ?? position, nextStep: nextStep)
  }

  private mutating func refill() throws(FormatError) {
    guard remaining > 0 else { throw truncated(needed: 1) }
    window = try source.bytes(at: position, count: min(1 << 16, remaining))
    windowStart = position
  }

  private func truncated(needed: Int) -> FormatError {
    error(.truncated, "\(needed) more bytes are needed and \(remaining) are left")
  }
}
