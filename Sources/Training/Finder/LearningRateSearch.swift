// SPDX-License-Identifier: Apache-2.0

/// What a search for a learning rate saw, and what it suggests.
package struct LearningRateSearch: Sendable, Equatable, Codable {
  /// Why a search ended.
  package enum StopReason: String, Sendable, Codable {
    /// All iterations are done.
    case finished
    /// The smoothed loss rose too far above its lowest value.
    case diverged
    /// A loss or gradient became NaN or infinite.
    case nonFinite = "non_finite"
    /// It was cancelled; the curve is what was seen until then.
    case cancelled
  }

  /// Rate of each step, of the layer group with the highest one.
  package let rates: [Double]
  /// Loss of each step's batch before the step; all finite.
  package let losses: [Double]
  /// The losses, smoothed.
  package let smoothed: [Double]
  /// The learning rates read off the smoothed curve.
  package let suggestions: LearningRateSuggestions
  /// Why it ended.
  package let stopReason: StopReason

  private enum CodingKeys: String, CodingKey {
    case losses, suggestions
    case rates = "learning_rates"
    case smoothed = "smoothed_losses"
    case stopReason = "stop_reason"
  }

  /// Reads the suggestions off the curve of a search of `iterations` planned steps.
  ///
  /// - Source: fastai v2 `lr_find`: a tenth of the planned steps is left out at the start and five at
  ///   the end.
  init(
    rates: [Double], losses: [Double], smoothed: [Double], iterations: Int, stopReason: StopReason
  ) {
    self.rates = rates
    self.losses = losses
    self.smoothed = smoothed
    self.stopReason = stopReason
    let readable = iterations / 10..<max(rates.count - 5, iterations / 10)
    suggestions = LearningRateSuggestions(
      rates: Array(rates[readable.clamped(to: 0..<rates.count)]),
      losses: Array(smoothed[readable.clamped(to: 0..<rates.count)]))
  }
}
