// SPDX-License-Identifier: Apache-2.0

/// The extents of a tensor, outermost first (row major: the last extent is contiguous).
///
/// An activation is `[N, C, H, W]`, a convolution's weight `[outputs, inputs / groups, kH, kW]`, a
/// dense layer's `[outputs, inputs]`. An empty list is a scalar (count 1).
package struct Shape: Hashable, Sendable, ExpressibleByArrayLiteral, CustomStringConvertible {
  /// Extents in elements; never negative.
  package let extents: [Int]
  /// Number of elements: the product of the extents, 1 for a scalar.
  package let count: Int

  /// Makes a shape the program itself decided on.
  ///
  /// Traps on a negative extent or a product beyond `Int`; for extents that come from a file use
  /// ``init(checking:)``.
  package init(_ extents: [Int]) {
    guard let shape = Shape(checking: extents) else {
      preconditionFailure("Shape \(extents) has a negative extent or overflows Int.")
    }
    self = shape
  }

  /// Makes a shape from untrusted extents; `nil` on a negative extent or a product beyond `Int`.
  package init?(checking extents: [Int]) {
    var product = 1
    for extent in extents {
      guard extent >= 0 else { return nil }
      let (next, overflow) = product.multipliedReportingOverflow(by: extent)
      guard !overflow else { return nil }
      product = next
    }
    self.extents = extents
    self.count = product
  }

  /// Makes a shape from literal extents.
  package init(arrayLiteral elements: Int...) { self.init(elements) }

  /// Number of extents.
  package var rank: Int { extents.count }
  /// Extent `axis`; traps outside `0..<rank`.
  package subscript(axis: Int) -> Int { extents[axis] }
  /// For example `[32, 3, 224, 224]`.
  package var description: String { "[" + extents.map(String.init).joined(separator: ", ") + "]" }
}
