// SPDX-License-Identifier: Apache-2.0

extension LimitedMemoryBFGS.Solution {
  /// What a solver that did not converge has to say of a logistic regression; nil for one that did.
  func complaint(inverseStrength: Double) -> String? {
    guard !isConverged else { return nil }
    let gradient =
      "the largest element of the gradient is \(Float(gradientMaximum)), expected at"
      + " most \(Float(tolerance))"
    guard isCut else {
      return "The logistic regression stopped short of its minimum after \(iterations) iterations,"
        + " where rounding left nothing to gain: \(gradient). A stronger penalty makes the minimum"
        + " easier to reach: set regularization below \(Float(inverseStrength))."
    }
    return "The logistic regression did not converge in \(iterations) iterations: \(gradient). The"
      + " weights so far are used. Set regularization below \(Float(inverseStrength)), or train with"
      + " another solver (sgd, adam)."
  }
}
