// SPDX-License-Identifier: Apache-2.0

import Glibc
import ThawTensors

/// What speaks for and against one contract: how the network takes photos prepared by it.
package struct ContractEvidence: Sendable {
  /// The contract's name in the ranking.
  package let name: String
  /// The batch norms that were looked at; empty for a network without.
  package let layers: [LayerDivergence]
  /// Divergence over channels and layers, nats; nil without batch norms.
  package private(set) var divergence: Double?
  /// The same for each resample of the photos.
  package let resampled: [Double]
  /// How the classifier answers; nil when it was not asked.
  package var head: HeadResponse?
  /// ``HeadResponse/score`` for each resample of the photos; empty when it was not asked.
  package var resampledScores: [Double] = []
  /// Share of right predictions; nil without labels.
  package var accuracy: Double?

  /// Measures the photos' `moments` at `layers` against what these remember.
  ///
  /// - Parameter resamples: lists of photos, drawn with replacement, the same for every contract.
  package init(
    name: String, moments: [PhotoMoments], at layers: [NormalizationProbe.Layer],
    resamples: [[Int]]
  ) {
    precondition(moments.count == layers.count, "Every layer has the moments of the photos.")
    self.name = name
    func measure(_ photos: some Collection<Int>) -> [LayerDivergence] {
      zip(layers, moments).map { layer, moments in
        let data = moments.population(photos)
        return LayerDivergence(
          layer.path, layer.statistics.divergences(mean: data.mean, variance: data.variance))
      }
    }
    self.layers = measure(0..<(moments.first?.count ?? 0))
    divergence = layers.isEmpty ? nil : ContractEvidence.combined(self.layers)
    resampled = layers.isEmpty ? [] : resamples.map { ContractEvidence.combined(measure($0)) }
  }

  /// The same, but further off than `others`, which were looked at more closely.
  package func behind(_ others: [ContractEvidence]) -> ContractEvidence {
    var result = self
    result.divergence = divergence.map { own in
      max(own, others.compactMap(\.divergence).max().map { $0 * 1.001 } ?? own)
    }
    return result
  }

  /// Evidence from numbers that are known already.
  package init(name: String, divergence: Double?, resampled: [Double] = []) {
    self.name = name
    layers = []
    self.divergence = divergence
    self.resampled = resampled
  }

  /// The geometric mean of the median and the typical divergence over the layers, each layer counting
  /// half as much as the one before it.
  ///
  /// Later layers are normalised already: there the photos' own peculiarity outweighs the contract.
  /// Geometric, because layers differ by orders of magnitude in what is a small divergence.
  private static func combined(_ layers: [LayerDivergence]) -> Double {
    var (sum, weights, weight) = (0.0, 0.0, 1.0)
    for layer in layers {
      sum += weight * (log(layer.median + floor) + log(layer.typical + floor)) / 2
      weights += weight
      weight /= 2
    }
    return max(exp(sum / max(weights, 1e-9)) - floor, 0)
  }

  /// Divergences below this are sampling noise of some dozen photos.
  private static let floor = 0.004

  /// `count` lists of `photos` indices drawn with replacement.
  package static func resamples(_ count: Int, photos: Int, seed: UInt64) -> [[Int]] {
    (0..<count).map { index in
      var stream = RandomStream(seed: seed, purpose: .resampling, sample: index)
      return (0..<photos).map { _ in stream.index(below: photos) }
    }
  }
}
