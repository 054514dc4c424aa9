// SPDX-License-Identifier: Apache-2.0

/// One way of looking at a photo for test-time augmentation: where the square is cut, and mirrored or
/// not. Deterministic, so that the features of a view can be cached under its ``name``.
package struct View: Codable, Hashable, Sendable, CustomStringConvertible {
  /// Where the square is cut from the resized photo.
  package enum Anchor: String, Codable, Hashable, Sendable, CaseIterable {
    /// The middle, as for prediction without augmentation.
    case center
    /// The corners.
    case topLeft, topRight, bottomLeft, bottomRight
  }

  /// Where the square is cut.
  package let anchor: Anchor
  /// Whether the square is mirrored left to right after the cut.
  package let isFlipped: Bool
  /// Each step enlarges the resized photo by 15 % of its base size before the cut; 0 does not.
  package let zoom: Int

  /// A view; traps on a negative zoom.
  package init(anchor: Anchor, isFlipped: Bool, zoom: Int = 0) {
    precondition(zoom >= 0, "A view cannot have zoom \(zoom).")
    self.anchor = anchor
    self.isFlipped = isFlipped
    self.zoom = zoom
  }

  /// What a network sees without augmentation.
  package static let center = View(anchor: .center, isFlipped: false)
  /// The same, mirrored.
  package static let flippedCenter = View(anchor: .center, isFlipped: true)

  /// A crop at a corner.
  package static func crop(_ anchor: Anchor, flipped: Bool, zoom: Int = 0) -> View {
    View(anchor: anchor, isFlipped: flipped, zoom: zoom)
  }

  /// A stable name: `center`, `center-flipped`, `top-left-zoom1`.
  package var name: String {
    let place =
      switch anchor {
      case .center: "center"
      case .topLeft: "top-left"
      case .topRight: "top-right"
      case .bottomLeft: "bottom-left"
      case .bottomRight: "bottom-right"
      }
    return place + (isFlipped ? "-flipped" : "") + (zoom > 0 ? "-zoom\(zoom)" : "")
  }

  /// The name.
  package var description: String { name }

  /// The first `count` views to average over; the first is always `.center`.
  ///
  /// 1: the centre. 2: and its mirror image. 5: the centre and the four corners. 10: those and their
  /// mirror images. Other counts up to 10 take turns between corners and mirror images; beyond 10 the
  /// ten repeat at the next zoom, so any count gives different views and no two are equal.
  package static func testTimeViews(count: Int) -> [View] {
    precondition(count >= 1, "Test-time augmentation needs at least one view, not \(count).")
    if count == 5 { return Anchor.allCases.map { View(anchor: $0, isFlipped: false) } }
    let ten: [(Anchor, Bool)] = [
      (.center, false), (.center, true), (.topLeft, false), (.bottomRight, true),
      (.topRight, false), (.bottomLeft, true), (.bottomRight, false), (.topLeft, true),
      (.bottomLeft, false), (.topRight, true),
    ]
    return (0..<count).map { index in
      let (anchor, flipped) = ten[index % ten.count]
      return View(anchor: anchor, isFlipped: flipped, zoom: index / ten.count)
    }
  }
}
