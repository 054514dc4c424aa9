// SPDX-License-Identifier: Apache-2.0

import ThawTensors

/// Mixing the samples of a batch with one another, targets included.
///
/// Each sample keeps the larger share of itself in mixup (lambda is mirrored to at least 1/2, as in
/// fastai, so that no two samples of a batch end up the same); in cutmix a box of area 1 - lambda
/// is replaced. Partners are a random permutation: a sample may meet itself.
///
/// - Source: Zhang et al. 2017, arXiv:1710.09412 (mixup); Yun et al. 2019, arXiv:1905.04899
///   (cutmix).
package struct BatchMixing: Codable, Hashable, Sendable, CustomStringConvertible {
  /// What is mixed.
  package enum Kind: String, Codable, Hashable, Sendable, CaseIterable {
    /// The weighted sum of two samples, photos or features.
    case mixup
    /// A box of one photo in the other.
    case cutmix
  }

  /// What is mixed.
  package let kind: Kind
  /// lambda is drawn from Beta(alpha, alpha), one a sample: small means almost none or all.
  package let alpha: Double

  /// A mixing; traps unless `alpha` is positive and finite.
  package init(_ kind: Kind, alpha: Double) {
    precondition(alpha > 0 && alpha.isFinite, "\(kind) needs a positive alpha, not \(alpha).")
    self.kind = kind
    self.alpha = alpha
  }

  /// Mixup, with fastai's 0.4 by default (0.2 in the paper's ImageNet runs).
  package static func mixup(alpha: Double = 0.4) -> BatchMixing {
    BatchMixing(.mixup, alpha: alpha)
  }
  /// Cutmix, with 1 by default: areas are uniform.
  package static func cutmix(alpha: Double = 1) -> BatchMixing {
    BatchMixing(.cutmix, alpha: alpha)
  }

  /// For example `mixup (alpha 0.4)`.
  package var description: String { "\(kind.rawValue) (alpha \(alpha))" }

  private enum CodingKeys: String, CodingKey, CaseIterable { case kind, alpha }

  /// Decodes a kind alone, `mixup`, or with its number, `{kind: mixup, alpha: 0.4}`, and checks.
  package init(from decoder: any Decoder) throws {
    if let kind = try? decoder.singleValueContainer().decode(Kind.self) {
      (self.kind, alpha) = (kind, kind == .mixup ? 0.4 : 1)
      return
    }
    try decoder.rejectUnknownKeys(CodingKeys.self, of: "mixing")
    let values = try decoder.container(keyedBy: CodingKeys.self)
    kind = try values.decode(Kind.self, forKey: .kind)
    alpha = try values.decodeIfPresent(Double.self, forKey: .alpha) ?? (kind == .mixup ? 0.4 : 1)
    if !(alpha > 0 && alpha.isFinite) {
      throw DecodingError.dataCorruptedError(
        forKey: .alpha, in: values, debugDescription: "alpha \(alpha) is not positive")
    }
  }

  /// The mixing of one batch: a pure function of the seed, the step and the part of the step.
  ///
  /// - Parameters:
  ///   - count: samples in the batch; real ones, without padding.
  ///   - step: number of the optimizer's step from the start of the run, below 2^36.
  ///   - part: number of the micro-batch within the step, below 2^20.
  ///   - size: extent of the photos, which cutmix needs; anything for mixup.
  package func draw(
    count: Int, seed: UInt64, step: Int, part: Int = 0, size: PixelSize
  ) -> MixingDraw {
    // The low bits of both share a stream's 32 bits for the sample, the others its 24 for the epoch.
    var stream = RandomStream(
      seed: seed, purpose: .mixing, epoch: ((step >> 20) & 0xFFFF) | ((part >> 12) << 16),
      sample: (step & 0xF_FFFF) | ((part & 0xFFF) << 20))
    let partners = stream.permutation(of: count)
    let pairs = partners.map { partner in
      let lambda = stream.beta(alpha, alpha)
      switch kind {
      case .mixup: return MixingDraw.Pair(partner: partner, fraction: max(lambda, 1 - lambda))
      case .cutmix: return cut(&stream, partner: partner, lambda: lambda, size: size)
      }
    }
    return MixingDraw(pairs: pairs)
  }

  // The box has the photo's shape, its centre is anywhere and it is clipped at the edges; the
  // fraction is what is left after clipping.
  private func cut(
    _ stream: inout RandomStream, partner: Int, lambda: Double, size: PixelSize
  ) -> MixingDraw.Pair {
    let side = (1 - lambda).squareRoot()
    func span(_ count: Int) -> Range<Int> {
      let center = stream.index(below: count)
      let half = Int(Double(count) * side) / 2
      return max(center - half, 0)..<min(center + half, count)
    }
    let (columns, rows) = (span(size.width), span(size.height))
    let box = PixelRectangle(
      x: columns.lowerBound, y: rows.lowerBound,
      size: PixelSize(width: columns.count, height: rows.count))
    let replaced = Double(columns.count * rows.count) / Double(size.width * size.height)
    return MixingDraw.Pair(partner: partner, fraction: 1 - replaced, box: box)
  }
}

/// Who is mixed with whom, and how much, in one batch.
package struct MixingDraw: Hashable, Sendable {
  /// What becomes of one sample.
  package struct Pair: Hashable, Sendable {
    /// Index of the other sample.
    package let partner: Int
    /// Part of the sample and of its target that stays; the partner gives the rest.
    package let fraction: Double
    /// Where the partner shows, for cutmix; nil mixes every number.
    package let box: PixelRectangle?

    /// A pair.
    package init(partner: Int, fraction: Double, box: PixelRectangle? = nil) {
      self.partner = partner
      self.fraction = fraction
      self.box = box
    }
  }

  /// One a sample, in the batch's order; the partners are a permutation.
  package let pairs: [Pair]

  /// A draw; traps unless the partners are a permutation.
  package init(pairs: [Pair]) {
    precondition(
      pairs.map(\.partner).sorted() == Array(pairs.indices),
      "The partners must be a permutation of the batch.")
    self.pairs = pairs
  }

  /// Mixes photos [N, C, H, W] in place; the buffer holds at least `pairs.count` of them.
  package func mix(
    _ batch: UnsafeMutableBufferPointer<Float>, channels: Int, size: PixelSize
  ) {
    mix(batch, stride: channels * size.width * size.height) { target, partner, pair in
      guard let box = pair.box else { return pair.blend(target, partner) }
      precondition(box.fits(in: size), "The box \(box) is not inside \(size).")
      for row in 0..<(channels * box.size.height) {
        let (channel, y) = (row / box.size.height, row % box.size.height + box.y)
        let start = (channel * size.height + y) * size.width + box.x
        for at in start..<(start + box.size.width) { target[at] = partner[at] }
      }
    }
  }

  /// Mixes rows of features [N, `width`] in place, for mixup only.
  package func mix(_ features: UnsafeMutableBufferPointer<Float>, width: Int) {
    mix(features, stride: width) { target, partner, pair in
      precondition(pair.box == nil, "Cutmix needs photos; features can only be mixed up.")
      pair.blend(target, partner)
    }
  }

  /// The targets of the mixed batch: `fraction` for the own class, the rest for the partner's.
  ///
  /// - Parameter output: [n, classes] is written here; every row sums to 1.
  package func targets(
    labels: UnsafeBufferPointer<Int32>, classes: Int,
    into output: UnsafeMutableBufferPointer<Float>
  ) {
    precondition(
      labels.count == pairs.count && output.count == pairs.count * classes,
      "Expected \(pairs.count) labels and \(pairs.count * classes) targets.")
    output.update(repeating: 0)
    for (index, pair) in pairs.enumerated() {
      let own = Float(pair.fraction)
      output[index * classes + Int(labels[index])] += own
      output[index * classes + Int(labels[pair.partner])] += 1 - own
    }
  }

  /// Mixes rows of targets [N, `width`] in place: `fraction` of the own, the rest of the partner's.
  package func mixTargets(_ rows: UnsafeMutableBufferPointer<Float>, width: Int) {
    mix(rows, stride: width) { target, partner, pair in pair.blend(target, partner) }
  }

  // Follows the permutation's cycles, so that one sample of memory is enough: a sample is read as a
  // partner before it is changed, except each cycle's first, which is kept.
  private func mix(
    _ batch: UnsafeMutableBufferPointer<Float>, stride: Int,
    _ body: (UnsafeMutableBufferPointer<Float>, UnsafeBufferPointer<Float>, Pair) -> Void
  ) {
    precondition(
      batch.count >= pairs.count * stride,
      "Expected at least \(pairs.count * stride) floats, got \(batch.count).")
    func sample(_ index: Int) -> UnsafeMutableBufferPointer<Float> {
      UnsafeMutableBufferPointer(rebasing: batch[(index * stride)..<((index + 1) * stride)])
    }
    var isDone = [Bool](repeating: false, count: pairs.count)
    for first in pairs.indices where !isDone[first] && pairs[first].partner != first {
      let kept = Array(sample(first))
      var index = first
      while !isDone[index] {
        isDone[index] = true
        let pair = pairs[index]
        if pair.partner == first {
          kept.withUnsafeBufferPointer { body(sample(index), $0, pair) }
        } else {
          body(sample(index), UnsafeBufferPointer(sample(pair.partner)), pair)
        }
        index = pair.partner
      }
    }
  }
}

extension MixingDraw.Pair {
  fileprivate func blend(
    _ target: UnsafeMutableBufferPointer<Float>, _ partner: UnsafeBufferPointer<Float>
  ) {
    let own = Float(fraction)
    let other = 1 - own
    for index in target.indices { target[index] = own * target[index] + other * partner[index] }
  }
}
