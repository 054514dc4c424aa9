// SPDX-License-Identifier: Apache-2.0

/// A width and a height in whole pixels.
package struct PixelSize: Hashable, Sendable, Codable, CustomStringConvertible {
  /// Columns.
  package let width: Int
  /// Rows.
  package let height: Int

  /// A size; traps on a negative side.
  package init(width: Int, height: Int) {
    precondition(width >= 0 && height >= 0, "A size cannot be \(width) x \(height).")
    self.width = width
    self.height = height
  }

  /// The smaller side.
  package var shorterSide: Int { min(width, height) }
  /// The same size lying on its side.
  package var transposed: PixelSize { PixelSize(width: height, height: width) }
  /// For example `500 x 375`.
  package var description: String { "\(width) x \(height)" }
}

/// A rectangle of whole pixels; `x` grows to the right, `y` downwards.
package struct PixelRectangle: Hashable, Sendable {
  /// Column of the left edge.
  package let x: Int
  /// Row of the upper edge.
  package let y: Int
  /// Extent.
  package let size: PixelSize

  /// A rectangle with its upper left pixel at (`x`, `y`).
  package init(x: Int, y: Int, size: PixelSize) {
    self.x = x
    self.y = y
    self.size = size
  }

  /// Whether every pixel of the rectangle belongs to an image of `size`.
  package func fits(in other: PixelSize) -> Bool {
    x >= 0 && y >= 0 && x <= other.width - size.width && y <= other.height - size.height
  }
}

/// A part of an image in fractional pixels: the edges of pixel (0, 0) are 0 and 1.
package struct SourceBox: Hashable, Sendable {
  /// Left edge.
  package let left: Double
  /// Upper edge.
  package let top: Double
  /// Right edge, not included.
  package let right: Double
  /// Lower edge, not included.
  package let bottom: Double

  /// A box between the edges; traps when it is empty.
  package init(left: Double, top: Double, right: Double, bottom: Double) {
    precondition(left < right && top < bottom, "The box must not be empty.")
    self.left = left
    self.top = top
    self.right = right
    self.bottom = bottom
  }

  /// All of an image.
  package init(_ size: PixelSize) {
    self.init(left: 0, top: 0, right: Double(size.width), bottom: Double(size.height))
  }
}

/// A colour of 8-bit red, green and blue.
package struct RGBColor: Hashable, Sendable, Codable {
  /// Red, 0 to 255.
  package let red: UInt8
  /// Green, 0 to 255.
  package let green: UInt8
  /// Blue, 0 to 255.
  package let blue: UInt8

  /// A colour.
  package init(red: UInt8, green: UInt8, blue: UInt8) {
    self.red = red
    self.green = green
    self.blue = blue
  }

  /// (255, 255, 255).
  package static let white = RGBColor(red: 255, green: 255, blue: 255)
  /// (0, 0, 0).
  package static let black = RGBColor(red: 0, green: 0, blue: 0)
}
