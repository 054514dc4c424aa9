// SPDX-License-Identifier: Apache-2.0

/// Which estimate of a batch's variance the running variance takes. All systems normalise the batch
/// itself by the biased variance; they differ in what they record.
package enum VarianceCorrection: String, Hashable, Sendable, Codable, CaseIterable {
  /// n / (n - 1): PyTorch, and TensorFlow's fused kernel behind tf.keras and Keras 2.1.3 and before.
  case bessel
  /// The biased variance as it is: Keras 3, MLX.
  case none
  /// (n / (n - 1))^2: Keras 2.1.4 to 2.3.1 corrected what the fused kernel had corrected already.
  case besselTwice

  /// What the biased variance of `count` values is multiplied by; 1 for fewer than two.
  package func factor(count: Int) -> Double {
    guard count > 1 else { return 1 }
    let bessel = Double(count) / Double(count - 1)
    return switch self {
    case .bessel: bessel
    case .none: 1
    case .besselTwice: bessel * bessel
    }
  }
}
