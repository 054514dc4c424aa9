// SPDX-License-Identifier: Apache-2.0

/// The parts of a square photo that are told apart: its inner and its outer half, of one area, and nine
/// places.
struct PhotoParts {
  let side: Int
  /// The rows and columns of the inner half.
  let inner: Range<Int>

  init(side: Int) {
    self.side = side
    let width = Int((Double(side) * 0.5.squareRoot()).rounded())
    let start = (side - width) / 2
    inner = start..<(start + width)
  }

  func isInner(_ row: Int, _ column: Int) -> Bool { inner.contains(row) && inner.contains(column) }

  /// Whether a place is in one of the four corners, each a fifth of the side.
  func isCorner(_ row: Int, _ column: Int) -> Bool {
    func isEnd(_ value: Int) -> Bool { value * 5 < side || (side - 1 - value) * 5 < side }
    return isEnd(row) && isEnd(column)
  }

  /// Which of the nine places of `ShortcutDiagnosis.places`.
  func ninth(_ row: Int, _ column: Int) -> Int { row * 3 / side * 3 + column * 3 / side }

  /// Puts `other` in place of one half of a photo.
  ///
  /// - Parameters:
  ///   - photo: [3, side, side].
  ///   - hidesInner: which half.
  ///   - other: the value at a place: channel, offset in the channel.
  func replace(
    _ photo: UnsafeMutableBufferPointer<Float>, inner hidesInner: Bool,
    by other: (_ channel: Int, _ offset: Int) -> Float
  ) {
    for channel in 0..<3 {
      for row in 0..<side {
        for column in 0..<side where isInner(row, column) == hidesInner {
          let offset = row * side + column
          photo[channel * side * side + offset] = other(channel, offset)
        }
      }
    }
  }
}
