// SPDX-License-Identifier: Apache-2.0

/// Mean and variance of a layer's input by channel, over the images of one or more passes.
package struct ChannelMoments: Sendable, Equatable {
  /// Values in each channel: images times height times width.
  package private(set) var count: Int
  /// [channels].
  package private(set) var mean: [Double]
  /// Biased variance, [channels].
  package private(set) var variance: [Double]

  /// Moments that were taken elsewhere; traps when the arrays differ in length.
  package init(count: Int, mean: [Double], variance: [Double]) {
    precondition(
      mean.count == variance.count, "\(mean.count) means do not fit \(variance.count) variances.")
    self.count = count
    self.mean = mean
    self.variance = variance
  }

  /// Takes in the moments of other images, as if all had been in one pass.
  ///
  /// Traps when the channels differ.
  /// - Source: Chan, Golub and LeVeque 1983, the pairwise update.
  package mutating func merge(_ other: ChannelMoments) {
    precondition(
      mean.count == other.mean.count,
      "Moments of \(other.mean.count) channels do not fit \(mean.count).")
    guard other.count > 0 else { return }
    let total = Double(count + other.count)
    let share = Double(other.count) / total
    for channel in mean.indices {
      let delta = other.mean[channel] - mean[channel]
      mean[channel] += delta * share
      variance[channel] +=
        (other.variance[channel] - variance[channel]) * share + delta * delta * share * (1 - share)
    }
    count += other.count
  }
}
