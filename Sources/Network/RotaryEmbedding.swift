// SPDX-License-Identifier: Apache-2.0

import Glibc
package import ThawTensors

/// Positions of patches that turn queries and keys instead of being added to tokens ("RoPE").
///
/// A head of d channels has d / 4 frequencies f = 1 / period, period i being ``base``^(4 i / d). The patch in
/// row i of H and column j of W lies at y = 2 (i + 1/2) / H - 1 and x = 2 (j + 1/2) / W - 1, so a position is
/// a share of the image and there is nothing to carry over to another size. Angle c of a patch, c < d / 2, is
/// 2 pi y f[c] in the first quarter and 2 pi x f[c - d / 4] in the second; channels c and c + d / 2 are turned by
/// it together:
///
/// y[c] = x[c] cos - x[c + d / 2] sin, y[c + d / 2] = x[c + d / 2] cos + x[c] sin.
///
/// The tokens before the patches are left as they are.
///
/// - Source: Su et al. 2021, arXiv:2104.09864; Siméoni et al. 2025, arXiv:2508.10104; transformers'
///   `DINOv3ViTRopePositionEmbedding`.
package struct RotaryEmbedding: Hashable, Sendable {
  /// Tokens before the patches.
  package var prefix: Int
  /// What the periods are powers of.
  package var base: Double
  /// Whether periods have the 8 bits of bfloat16, as facebook's files hold them; timm and transformers
  /// compute them anew.
  package var isRounded: Bool

  /// Describes an embedding.
  package init(prefix: Int, base: Double = 100, isRounded: Bool = false) {
    self.prefix = prefix
    self.base = base
    self.isRounded = isRounded
  }

  /// The periods of a head of `width` channels, a multiple of 4.
  package func periods(width: Int) -> [Double] {
    (0..<width / 4).map { index in
      let period = pow(base, 4 * Double(index) / Double(width))
      return isRounded ? RotaryEmbedding.rounded(period) : period
    }
  }

  /// The nearest number of bfloat16, the even one of two.
  private static func rounded(_ number: Double) -> Double {
    let bits = Float(number).bitPattern
    return Double(Float(bitPattern: (bits + 0x7FFF + (bits >> 16 & 1)) & 0xFFFF_0000))
  }

  /// The angles of the patches of `grid`, [patches, width / 2].
  package func angles(for grid: Extent2D, width: Int) -> Tensor<Double> {
    let periods = periods(width: width)
    return Tensor(shape: [grid.count, width / 2]) { angles in
      for row in 0..<grid.height {
        for column in 0..<grid.width {
          let start = (row * grid.width + column) * (width / 2)
          let y = (2 * Double(row) + 1) / Double(grid.height) - 1
          let x = (2 * Double(column) + 1) / Double(grid.width) - 1
          for (index, period) in periods.enumerated() {
            angles[start + index] = 2 * .pi * y / period
            angles[start + width / 4 + index] = 2 * .pi * x / period
          }
        }
      }
    }
  }
}
