// SPDX-License-Identifier: Apache-2.0

import Glibc

/// Which learning rates a search tries, and how.
package struct LearningRateSweep: Sendable, Equatable, Codable {
  /// The first rate, of the layer group with the highest one.
  package var start: Double
  /// The rate the search runs towards; the last step stops one short of it, as fastai's does.
  package var end: Double
  /// Steps of a search that does not end early, at least ``minimumIterations``.
  package var iterations: Int
  /// Equal differences instead of equal ratios between the rates.
  package var isLinear: Bool
  /// Samples of a step; the whole source when it is smaller.
  package var batchSize: Int
  /// Keys shuffling and dropout.
  package var seed: UInt64
  /// Weight of the past in the smoothed loss, in 0..<1.
  package var smoothing: Double
  /// The search ends when the smoothed loss exceeds the lowest one this many times; nil for never.
  package var divergenceFactor: Double?

  /// Below this no curve can be read.
  package static let minimumIterations = 6

  /// A sweep; the defaults are fastai v2's.
  ///
  /// - Source: fastai v2 `lr_find`, callback/schedule.py.
  package init(
    start: Double = 1e-7, end: Double = 10, iterations: Int = 100, isLinear: Bool = false,
    batchSize: Int = 64, seed: UInt64 = 0, smoothing: Double = 0.98, divergenceFactor: Double? = 4
  ) {
    self.start = start
    self.end = end
    self.iterations = iterations
    self.isLinear = isLinear
    self.batchSize = batchSize
    self.seed = seed
    self.smoothing = smoothing
    self.divergenceFactor = divergenceFactor
  }

  /// The rate of step `index`: start * (end / start)^(index / iterations), or
  /// start + (end - start) * index / iterations when linear.
  ///
  /// - Source: fastai v2 `SchedExp`; the linear form is its `SchedLin` (fastai 0.7's linear sweep
  ///   begins at 0 and is not offered).
  package func rate(_ index: Int) -> Double {
    let position = Double(index) / Double(iterations)
    return isLinear ? start + (end - start) * position : start * pow(end / start, position)
  }

  /// What is wrong with the numbers, as a sentence; nil when nothing is.
  package var problem: String? {
    if !(start > 0 && end > start && end.isFinite) {
      return "a search needs 0 < start < end, got \(start) and \(end)."
    }
    if iterations < LearningRateSweep.minimumIterations {
      return "a search needs at least \(LearningRateSweep.minimumIterations) iterations, got"
        + " \(iterations)."
    }
    if batchSize < 1 { return "the batch size must be at least 1, got \(batchSize)." }
    if !(smoothing >= 0 && smoothing < 1) {
      return "smoothing must be at least 0 and below 1, got \(smoothing)."
    }
    if let factor = divergenceFactor, !(factor > 1) {
      return "the divergence factor must be above 1, got \(factor)."
    }
    return nil
  }
}

/// A mean over a noisy series in which older values count less, without the pull of its start at 0.
///
/// a = beta * a + (1 - beta) * x; the result is a / (1 - beta^n).
///
/// - Source: fastai v2 `AvgSmoothLoss`; the correction is Adam's.
struct SmoothedLoss {
  let beta: Double
  private var average = 0.0
  private var weight = 1.0

  init(beta: Double) { self.beta = beta }

  /// Adds a value and returns the smoothed one.
  mutating func add(_ value: Double) -> Double {
    average = beta * average + (1 - beta) * value
    weight *= beta
    return average / (1 - weight)
  }
}
