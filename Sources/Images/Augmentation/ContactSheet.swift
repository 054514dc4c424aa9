// SPDX-License-Identifier: Apache-2.0

/// One picture of what an augmentation does: a row a photo, the plain square first, then its draws.
package struct ContactSheet: Sendable {
  /// Contract whose squares are shown.
  package let preprocessing: Preprocessing
  /// What is drawn from.
  package let augmentation: Augmentation
  /// The run's seed.
  package let seed: UInt64
  /// Augmented squares a row.
  package let draws: Int
  /// Pixels between squares and around them.
  package let gap: Int
  /// Colour of the gaps.
  package let background: RGBColor

  /// A sheet; traps unless there is at least one draw a row.
  package init(
    _ preprocessing: Preprocessing, augmentation: Augmentation, seed: UInt64, draws: Int = 7,
    gap: Int = 4, background: RGBColor = .white
  ) {
    precondition(draws >= 1 && gap >= 0, "A contact sheet needs at least one draw a row.")
    self.preprocessing = preprocessing
    self.augmentation = augmentation
    self.seed = seed
    self.draws = draws
    self.gap = gap
    self.background = background
  }

  /// Extent of a sheet of `rows` photos.
  package func size(rows: Int) -> PixelSize {
    let step = preprocessing.inputSize + gap
    return PixelSize(width: (draws + 1) * step + gap, height: rows * step + gap)
  }

  /// The squares of one row: plain, then what epochs 0, 1, ... of training would draw.
  ///
  /// - Parameter sample: the photo's index in the manifest, so that the sheet shows the squares the
  ///   network will see (very large JPEGs are decoded in full here and scaled there).
  /// - Throws: ``ImageError``.
  package func row(
    _ bytes: UnsafeRawBufferPointer, sample: Int
  ) throws(ImageError) -> [RGBImage] {
    let decoded = try ImageDecoder.decode(bytes, options: preprocessing.decodeOptions)
    let views = AugmentedView.views(augmentation, seed: seed, count: draws)
    return [preprocessing.square(of: decoded)]
      + views.map { view in
        let draw = view.draw(
          sample: sample, size: decoded.originalSize, side: preprocessing.inputSize)
        return preprocessing.augmentedSquare(of: decoded, draw: draw)
      }
  }

  /// The sheet; traps unless there is a row and every row has `draws` + 1 squares.
  package func image(rows: [[RGBImage]]) -> RGBImage {
    precondition(
      !rows.isEmpty && rows.allSatisfy { $0.count == draws + 1 },
      "Every row of the sheet needs \(draws + 1) squares.")
    let sheet = size(rows: rows.count)
    let side = preprocessing.inputSize
    var pixels = RGBImage(size: sheet, filledWith: background).pixels
    for (row, squares) in rows.enumerated() {
      for (column, square) in squares.enumerated() {
        precondition(
          square.width == side && square.height == side,
          "Expected squares of \(side), got \(square.size).")
        let left = gap + column * (side + gap)
        for y in 0..<side {
          let at = ((gap + row * (side + gap) + y) * sheet.width + left) * 3
          let from = y * side * 3
          pixels.replaceSubrange(
            at..<(at + side * 3), with: square.pixels[from..<(from + side * 3)])
        }
      }
    }
    return RGBImage(size: sheet, pixels: pixels)
  }
}
