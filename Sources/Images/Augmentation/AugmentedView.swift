// SPDX-License-Identifier: Apache-2.0

/// One augmented look at every photo, with a name under which its features can be cached.
///
/// View number k draws what epoch k of uncached training would draw, so K cached views are the
/// first K epochs, repeated.
package struct AugmentedView: Hashable, Sendable, Codable, CustomStringConvertible {
  /// Where the numbers are drawn from.
  package let augmentation: Augmentation
  /// The run's seed.
  package let seed: UInt64
  /// Number of the view, from 0.
  package let number: Int

  /// A view.
  package init(_ augmentation: Augmentation, seed: UInt64, number: Int) {
    precondition(number >= 0, "A view's number cannot be \(number).")
    self.augmentation = augmentation
    self.seed = seed
    self.number = number
  }

  /// `count` views, numbered from `first`.
  package static func views(
    _ augmentation: Augmentation, seed: UInt64, count: Int, first: Int = 0
  ) -> [AugmentedView] {
    (first..<(first + count)).map { AugmentedView(augmentation, seed: seed, number: $0) }
  }

  /// What a photo draws in this view, see ``Augmentation/draw(seed:epoch:sample:size:side:)``.
  package func draw(sample: Int, size: PixelSize, side: Int) -> AugmentationDraw {
    augmentation.draw(seed: seed, epoch: number, sample: sample, size: size, side: side)
  }

  /// A stable name, for example `augmented-5f1d3a90c47be286-3`: 64 bits of the settings and the
  /// seed, and the number.
  ///
  /// Two photos with the same content but different indices draw differently: a cache keyed by
  /// content must add the index.
  package var name: String {
    "augmented-\(Self.fingerprint(of: "\(Self.version)|\(augmentation.json)|\(seed)"))-\(number)"
  }

  /// The name.
  package var description: String { name }

  // Raised whenever the same settings give other pixels, so that no old cache is taken for new.
  private static let version = 1

  // FNV-1a, 64 bits.
  private static func fingerprint(of text: String) -> String {
    var hash: UInt64 = 0xCBF2_9CE4_8422_2325
    for byte in text.utf8 { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01B3 }
    let digits = String(hash, radix: 16)
    return String(repeating: "0", count: 16 - digits.count) + digits
  }
}
