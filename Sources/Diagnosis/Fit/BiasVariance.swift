// SPDX-License-Identifier: Apache-2.0

/// Where the error of a classifier comes from, by Andrew Ng's decomposition:
///
///     human-level --avoidable bias--> training --variance--> training, cross-validated
///                 --mismatch--> validation
///
/// The error on training photos that were not trained on (his "training-dev" set) is measured by
/// cross-validating the head on the training photos' features, so no photo has to be given up for it.
///
/// - Source: Ng, "Machine Learning Yearning", chapters 20 to 44.
package struct BiasVariance: Sendable, Equatable, Codable {
  /// One part of the error.
  package struct Part: Sendable, Equatable, Codable {
    /// Difference of two error rates; negative ones are chance.
    package let size: Double
    /// Two standard errors of it.
    package let noise: Double
    /// Whether it is worth working on: above ``BiasVariance/worthwhile`` and above its noise.
    package let isSignificant: Bool

    init(_ difference: (gap: Double, noise: Double)) {
      size = difference.gap
      noise = difference.noise
      isSignificant = size > max(BiasVariance.worthwhile, noise)
    }
  }

  /// Errors up to two points are left alone.
  package static let worthwhile = 0.02

  /// Human-level error if given, else 0.
  package let humanError: Double
  /// On the training photos.
  package let training: ErrorRate?
  /// On training photos that the head was not fitted to; nil without.
  package let crossValidated: ErrorRate?
  /// On held-out photos.
  package let validation: ErrorRate?
  /// Training error above the human one.
  package let avoidableBias: Part?
  /// Cross-validated (else validation) error above the training one.
  package let variance: Part?
  /// Validation error above the cross-validated one.
  package let mismatch: Part?
  /// Training error above the cross-validated one: what a new head alone wins, at least.
  package let headLoss: Part?

  /// Decomposes what is known.
  package init(
    humanError: Double?, training: ErrorRate?, crossValidated: ErrorRate?, validation: ErrorRate?
  ) {
    self.humanError = humanError ?? 0
    self.training = training
    self.crossValidated = crossValidated
    self.validation = validation
    let human = self.humanError
    avoidableBias = training.map { Part(($0.error - human, 2 * $0.standardError)) }
    if let training, let unseen = crossValidated ?? validation {
      variance = Part(unseen.excess(over: training))
    } else {
      variance = nil
    }
    if let training, let crossValidated {
      headLoss = Part(training.excess(over: crossValidated))
    } else {
      headLoss = nil
    }
    if let crossValidated, let validation {
      mismatch = Part(validation.excess(over: crossValidated))
    } else {
      mismatch = nil
    }
  }
}
