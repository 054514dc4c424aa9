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
public struct BiasVariance: Sendable, Equatable, Codable {
  /// One part of the error.
  public struct Part: Sendable, Equatable, Codable {
    /// Difference of two error rates; negative ones are chance.
    public let size: Double
    /// Two standard errors of it.
    public let noise: Double
    /// Whether it is worth working on: above ``BiasVariance/worthwhile`` and above its noise.
    public let isSignificant: Bool

    init(_ difference: (gap: Double, noise: Double)) {
      size = difference.gap
      noise = difference.noise
      isSignificant = size > max(BiasVariance.worthwhile, noise)
    }
  }

  /// Errors up to two points are left alone.
  public static let worthwhile = 0.02

  /// Human-level error if given, else 0.
  public let humanError: Double
  /// On the training photos.
  public let training: ErrorRate?
  /// On training photos that the head was not fitted to; nil without.
  public let crossValidated: ErrorRate?
  /// On held-out photos.
  public let validation: ErrorRate?
  /// Training error above the human one.
  public let avoidableBias: Part?
  /// Cross-validated (else validation) error above the training one.
  public let variance: Part?
  /// Validation error above the cross-validated one.
  public let mismatch: Part?

  /// Decomposes what is known.
  public init(
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
    if let crossValidated, let validation {
      mismatch = Part(validation.excess(over: crossValidated))
    } else {
      mismatch = nil
    }
  }
}
