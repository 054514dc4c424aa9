// SPDX-License-Identifier: Apache-2.0

/// A width and a height in whole pixels.
public struct PixelSize: Hashable, Sendable, Codable, CustomStringConvertible {
  /// Columns.
  public let width: Int
  /// Rows.
  public let height: Int

  /// A size; traps on a negative side.
  public init(width: Int, height: Int) {
    precondition(width >= 0 && height >= 0, "A size cannot be \(width) x \(height).")
    self.width = width
    self.height = height
  }

  /// The smaller side.
  public var shorterSide: Int { min(width, height) }
  /// The same size lying on its side.
  public var transposed: PixelSize { PixelSize(width: height, height: width) }
  /// For example `500 x 375`.
  public var description: String { "\(width) x \(height)" }
}

/// A rectangle of whole pixels; `x` grows to the right, `y` downwards.
public struct PixelRectangle: Hashable, Sendable {
  /// Column of the left edge.
  public let x: Int
  /// Row of the upper edge.
  public let y: Int
  /// Extent.
  public let size: PixelSize

  /// A rectangle with its upper left pixel at (`x`, `y`).
  public init(x: Int, y: Int, size: PixelSize) {
    self.x = x
    self.y = y
    self.size = size
  }

  /// Whether every pixel of the rectangle belongs to an image of `size`.
  public func fits(in other: PixelSize) -> Bool {
    x >= 0 && y >= 0 && x <= other.width - size.width && y <= other.height - size.height
  }
}

/// A part of an image in fractional pixels: the edges of pixel (0, 0) are 0 and 1.
public struct SourceBox: Hashable, Sendable {
  /// Left edge.
  public let left: Double
  /// Upper edge.
  public let top: Double
  /// Right edge, not included.
  public let right: Double
  /// Lower edge, not included.
  public let bottom: Double

  /// A box between the edges; traps when it is empty.
  public init(left: Double, top: Double, right: Double, bottom: Double) {
    precondition(left < right && top < bottom, "The box must not be empty.")
    self.left = left
    self.top = top
    self.right = right
    self.bottom = bottom
  }

  /// All of an image.
  public init(_ size: PixelSize) {
    self.init(left: 0, top: 0, right: Double(size.width), bottom: Double(size.height))
  }
}

/// A colour of 8-bit red, green and blue.
public struct RGBColor: Hashable, Sendable, Codable {
  /// Red, 0 to 255.
  public let red: UInt8
  /// Green, 0 to 255.
  public let green: UInt8
  /// Blue, 0 to 255.
  public let blue: UInt8

  /// A colour.
  public init(red: UInt8, green: UInt8, blue: UInt8) {
    self.red = red
    self.green = green
    self.blue = blue
  }

  /// (255, 255, 255).
  public static let white = RGBColor(red: 255, green: 255, blue: 255)
  /// (0, 0, 0).
  public static let black = RGBColor(red: 0, green: 0, blue: 0)
}
