// SPDX-License-Identifier: Apache-2.0

import Glibc
package import ThawTensors

extension RandomStream {
  /// The logarithm of a sample of Gamma(`shape`, 1): small shapes give numbers below the smallest
  /// Double.
  ///
  /// - Source: Marsaglia and Tsang 2000; below shape 1 their boost, Gamma(a + 1) * U^(1 / a).
  mutating func logGamma(shape: Double) -> Double {
    if shape < 1 {
      let unit = max(uniform(in: 0...1), 0x1p-53)
      return logGamma(shape: shape + 1) + log(unit) / shape
    }
    let d = shape - 1.0 / 3
    let c = 1 / (9 * d).squareRoot()
    while true {
      let x = normal()
      let v = (1 + c * x) * (1 + c * x) * (1 + c * x)
      if v <= 0 { continue }
      let unit = max(uniform(in: 0...1), 0x1p-53)
      if log(unit) < 0.5 * x * x + d - d * v + d * log(v) { return log(d) + log(v) }
    }
  }

  /// A sample of Beta(`alpha`, `beta`) in 0...1; both above 0.
  package mutating func beta(_ alpha: Double, _ beta: Double) -> Double {
    let (first, second) = (logGamma(shape: alpha), logGamma(shape: beta))
    return 1 / (1 + exp(second - first))
  }
}
