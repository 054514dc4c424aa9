// SPDX-License-Identifier: Apache-2.0

/// The stages of EfficientNet-B0, and how wide and deep a variant has them.
///
/// - Source: Tan and Le 2019, arXiv:1905.11946, table 1; the factors and the fixed ends of the Lite
///   variants: tensorflow/tpu, models/official/efficientnet.
struct EfficientNetScaling {
  /// Inverted residuals of one shape; the first of them has the stride.
  struct Stage {
    let repeats: Int
    let kernel: Int
    let stride: Int
    let expansion: Int
    let channels: Int
  }

  static let stages = [
    Stage(repeats: 1, kernel: 3, stride: 1, expansion: 1, channels: 16),
    Stage(repeats: 2, kernel: 3, stride: 2, expansion: 6, channels: 24),
    Stage(repeats: 2, kernel: 5, stride: 2, expansion: 6, channels: 40),
    Stage(repeats: 3, kernel: 3, stride: 2, expansion: 6, channels: 80),
    Stage(repeats: 3, kernel: 5, stride: 1, expansion: 6, channels: 112),
    Stage(repeats: 4, kernel: 5, stride: 2, expansion: 6, channels: 192),
    Stage(repeats: 1, kernel: 3, stride: 1, expansion: 6, channels: 320),
  ]

  /// Width and depth of B0 and Lite0, B1 and Lite1, ….
  private static let factors: [(width: Double, depth: Double)] = [
    (1.0, 1.0), (1.0, 1.1), (1.1, 1.2), (1.2, 1.4), (1.4, 1.8),
  ]

  /// The numbers of the variants.
  static let variants = factors.indices

  private let width: Double
  private let depth: Double
  private let keepsEnds: Bool

  /// The variant `number`; nil for one that is not among ``variants``.
  ///
  /// - Parameter keepsEnds: whether the first and the last stage have as many blocks in every variant.
  init?(variant number: Int, keepsEnds: Bool = false) {
    guard EfficientNetScaling.variants.contains(number) else { return nil }
    (width, depth) = EfficientNetScaling.factors[number]
    self.keepsEnds = keepsEnds
  }

  /// Channels scaled by the width factor, to a multiple of 8 that is not more than 10 % below.
  func channels(_ channels: Int) -> Int {
    ChannelRounding.multipleOf8(Double(channels) * width)
  }

  /// Blocks of a stage.
  func repeats(_ stage: Int) -> Int {
    let repeats = EfficientNetScaling.stages[stage].repeats
    let isEnd = stage == 0 || stage == EfficientNetScaling.stages.count - 1
    return keepsEnds && isEnd ? repeats : Int((depth * Double(repeats)).rounded(.up))
  }

  /// The stage and the place in it of a block that is counted through from 0; nil beyond the last.
  func place(ofBlock number: Int) -> (stage: Int, index: Int)? {
    var left = number
    for stage in EfficientNetScaling.stages.indices where left >= 0 {
      if left < repeats(stage) { return (stage, left) }
      left -= repeats(stage)
    }
    return nil
  }
}
