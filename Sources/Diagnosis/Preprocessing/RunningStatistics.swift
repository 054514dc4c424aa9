// SPDX-License-Identifier: Apache-2.0

import Glibc
package import ThawNetwork

/// What a batch norm remembers of the data its network was trained on: the fingerprint of its
/// preprocessing.
package struct RunningStatistics: Sendable {
  /// Of each channel.
  package let mean: [Double]
  /// Of each channel, the layer's epsilon added.
  package let variance: [Double]
  private let epsilon: Double

  /// The statistics of the batch norm `node`.
  ///
  /// - Throws: `NetworkError.missingParameters`.
  package init(_ node: Node, _ layer: BatchNormalization, in parameters: Parameters) throws {
    epsilon = layer.epsilon
    mean = try parameters.tensor(node.path.appending("running_mean")).elements.map(Double.init)
    variance = try parameters.tensor(node.path.appending("running_var")).elements.map {
      max(Double($0), 0) + layer.epsilon
    }
  }

  /// Statistics as given, for a layer that adds `epsilon` to its variance.
  package init(mean: [Double], variance: [Double], epsilon: Double) {
    precondition(mean.count == variance.count, "Every channel has a mean and a variance.")
    self.epsilon = epsilon
    self.mean = mean
    self.variance = variance.map { max($0, 0) + epsilon }
  }

  /// Whether they are as a new layer has them, means 0 and variances 1: nothing is remembered.
  package var areUntouched: Bool {
    mean.allSatisfy { $0 == 0 } && variance.allSatisfy { abs($0 - 1 - epsilon) < 1e-6 }
  }

  /// How far data is from them in each channel, with s = variance + epsilon, in nats:
  ///
  ///     KL(data || running) = (ln(s running / s data) + (s data + (difference of means)^2)
  ///                            / s running - 1) / 2
  package func divergences(mean dataMean: [Double], variance dataVariance: [Double]) -> [Double] {
    mean.indices.map { channel in
      let data = max(dataVariance[channel], 0) + epsilon
      let shift = dataMean[channel] - mean[channel]
      let (ratio, bias) = (data / variance[channel], shift * shift / variance[channel])
      return max((ratio + bias - 1 - log(ratio)) / 2, 0)
    }
  }
}

/// How far the data at one batch norm is from what it remembers.
package struct LayerDivergence: Sendable, Equatable, Codable {
  /// The batch norm.
  package let path: ParameterPath
  /// Median over the channels, nats.
  package let median: Double
  /// exp(mean of ln(1 + divergence)) - 1 over the channels: the mean, were it not for a few nearly
  /// dead channels that can be a thousand times off.
  package let typical: Double

  /// Summarises the divergences of the channels of `path`.
  package init(_ path: ParameterPath, _ divergences: [Double]) {
    self.path = path
    let sorted = divergences.sorted()
    median = sorted.isEmpty ? 0 : sorted[sorted.count / 2]
    let logarithms = divergences.reduce(0) { $0 + log1p($1) }
    typical = expm1(logarithms / Double(max(divergences.count, 1)))
  }
}
