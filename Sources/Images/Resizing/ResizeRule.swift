// SPDX-License-Identifier: Apache-2.0

/// How a photo of any shape becomes a square.
package enum ResizeRule: String, Codable, Sendable, Hashable, CaseIterable {
  /// Scale the shorter side to the target, keep the aspect ratio, cut the square from the middle.
  case shorterSide
  /// Scale both sides to the target, whatever the aspect ratio.
  case squash

  /// The size an image is resized to before the crop.
  ///
  /// `.shorterSide` rounds the longer side down, as torchvision's `Resize(target)` does.
  package func resizedSize(of size: PixelSize, target: Int) -> PixelSize {
    precondition(
      size.width > 0 && size.height > 0 && target > 0, "Cannot resize \(size) to \(target).")
    switch self {
    case .squash: return PixelSize(width: target, height: target)
    case .shorterSide:
      let longer = target * max(size.width, size.height) / size.shorterSide
      return size.width <= size.height
        ? PixelSize(width: target, height: longer) : PixelSize(width: longer, height: target)
    }
  }

  /// The first position of a centred crop, half a pixel rounded to even, as Python's `round` and
  /// therefore torchvision's `CenterCrop` do.
  static func centeredStart(of crop: Int, in side: Int) -> Int {
    Int((Double(side - crop) / 2).rounded(.toNearestOrEven))
  }
}
