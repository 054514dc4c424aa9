// SPDX-License-Identifier: Apache-2.0

/// How the channels of a network that is made wider or narrower become whole numbers.
///
/// - Source: Sandler et al. 2018, arXiv:1801.04381, with the authors' program (`make_divisible`).
enum ChannelRounding {
  /// The multiple of 8 next to `wanted`, 8 at least, that is not more than 10 % below it.
  static func multipleOf8(_ wanted: Double) -> Int {
    let nearest = nearestMultipleOf8(wanted)
    return Double(nearest) < 0.9 * wanted ? nearest + 8 : nearest
  }

  /// The multiple of 8 next to `wanted`, 8 at least, however far below it.
  static func nearestMultipleOf8(_ wanted: Double) -> Int { max(8, Int(wanted + 4) / 8 * 8) }
}
