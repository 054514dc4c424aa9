// SPDX-License-Identifier: Apache-2.0

import Glibc
package import ThawExecution
package import ThawNetwork

/// How far the data at one batch norm is from its running statistics.
///
/// By channel, with s = variance + epsilon, d for the data and r for the running statistics:
///
///     mean shift      |mean d - mean r| / sqrt(s r)
///     variance ratio  s d / s r
///     divergence      KL(N(d) || N(r)) = (ln(s r / s d) + (s d + (mean d - mean r)^2) / s r - 1) / 2
///
/// Epsilon is added as the layer itself adds it, so a channel that is dead in both counts as equal.
/// Each number is the median over the channels, because a handful of nearly dead channels can be
/// thousands of times off and change nothing.
package struct LayerShift: Sendable, Equatable, Codable {
  /// Median mean shift, in running standard deviations.
  package let meanShift: Double
  /// Median ratio of the data's variance to the running one.
  package let varianceRatio: Double
  /// Median divergence, in nats.
  package let divergence: Double
  /// Divergence that one channel in ten exceeds.
  package let divergenceOfWorstTenth: Double
  /// Mean of ln(1 + divergence) over the channels: large when many channels are off or a few by much.
  package let severity: Double
  /// ``severity``, less what chance makes of so few values, over what it is when every channel is compared with the statistics of another one:
  /// near 0 when each channel knows its own, near 1 when they might as well be anybody's. 0 for fewer
  /// than eight channels. A strange dataset moves the channels but leaves the pattern; statistics that
  /// were mixed up, overwritten or scaled do not have it.
  package let strangeness: Double
  /// Share of the channels with a divergence above 1.
  package let shareOfBadChannels: Double
  /// The channel with the largest divergence.
  package let worstChannel: Int
  package let worstDivergence: Double

  /// Compares the moments of a layer's input with its running statistics.
  ///
  /// Negative running variances, which no training leaves, count as 0. Traps when the numbers of
  /// channels differ or are 0.
  package init(
    _ moments: ChannelMoments, runningMean: [Float], runningVariance: [Float], epsilon: Double
  ) {
    precondition(
      moments.mean.count == runningMean.count && runningMean.count == runningVariance.count
        && !runningMean.isEmpty, "Moments and running statistics differ in their channels.")
    var (shifts, ratios, divergences): ([Double], [Double], [Double]) = ([], [], [])
    func compare(_ channel: Int, with other: Int) -> (shift: Double, ratio: Double, Double) {
      let running = max(Double(runningVariance[other]), 0) + epsilon
      let data = moments.variance[channel] + epsilon
      let shift = abs(moments.mean[channel] - Double(runningMean[other]))
      let divergence = (log(running / data) + (data + shift * shift) / running - 1) / 2
      return (shift / running.squareRoot(), data / running, max(divergence, 0))
    }
    for channel in runningMean.indices {
      let (shift, ratio, divergence) = compare(channel, with: channel)
      shifts.append(shift)
      ratios.append(ratio)
      divergences.append(divergence)
    }
    let channels = runningMean.count
    let mixed =
      (1..<8).map { part in
        let offset = channels * part / 8
        let sum = runningMean.indices.reduce(0) {
          $0 + log1p(compare($1, with: ($1 + offset) % channels).2)
        }
        return sum / Double(channels)
      }.reduce(0, +) / 7
    meanShift = LayerShift.quantile(0.5, of: shifts)
    varianceRatio = LayerShift.quantile(0.5, of: ratios)
    divergence = LayerShift.quantile(0.5, of: divergences)
    divergenceOfWorstTenth = LayerShift.quantile(0.9, of: divergences)
    let count = Double(divergences.count)
    severity = divergences.reduce(0) { $0 + log1p($1) } / count
    // The divergence of n values' own mean and variance is 1/n by chance; those of one photo go together.
    let chance = 4 / Double(max(moments.count, 1))
    strangeness = channels < 8 ? 0 : max(severity - chance, 0) / max(mixed, 1e-9)
    shareOfBadChannels = Double(divergences.count { $0 > 1 }) / count
    let worst = divergences.indices.max { divergences[$0] < divergences[$1] } ?? 0
    worstChannel = worst
    worstDivergence = divergences[worst]
  }

  /// Compares with the statistics that `parameters` hold for `layer`.
  ///
  /// - Throws: `NetworkError.missingParameters`.
  package init(
    _ moments: ChannelMoments, of layer: PhasedNetwork.Layer, in parameters: Parameters
  ) throws {
    self.init(
      moments,
      runningMean: try parameters.tensor(layer.path.appending("running_mean")).elements,
      runningVariance: try parameters.tensor(layer.path.appending("running_var")).elements,
      epsilon: layer.normalization.epsilon)
  }

  /// The smallest value that at least a share `q` of the values does not exceed.
  static func quantile(_ q: Double, of values: [Double]) -> Double {
    let sorted = values.sorted()
    let position = Int((q * Double(sorted.count)).rounded(.up)) - 1
    return sorted[min(max(position, 0), sorted.count - 1)]
  }
}
