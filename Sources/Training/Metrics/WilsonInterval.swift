// SPDX-License-Identifier: Apache-2.0

/// Between which values a share lies that was measured on few samples.
package enum WilsonInterval {
  /// The interval for `successes` out of `trials`; 0...1 without trials.
  ///
  /// Unlike the mean plus or minus two standard errors it never leaves 0...1 and stays honest at 0 %
  /// and 100 %.
  ///
  /// - Parameter z: normal quantile; 1.96 is 95 % confidence.
  /// - Source: Wilson 1927, J. Am. Stat. Assoc. 22, 209-212.
  package static func interval(
    successes: Int, trials: Int, z: Double = 1.959963984540054
  ) -> ClosedRange<Double> {
    precondition(
      successes >= 0 && successes <= trials,
      "\(successes) successes in \(trials) trials are impossible.")
    return interval(
      share: trials == 0 ? 0 : Double(successes) / Double(trials), trials: Double(trials), z: z)
  }

  /// The interval for a share of `trials`, which need not be whole.
  package static func interval(
    share: Double, trials n: Double, z: Double = 1.959963984540054
  ) -> ClosedRange<Double> {
    precondition((0...1).contains(share), "A share cannot be \(share).")
    guard n > 0 else { return 0...1 }
    let center = (share + z * z / (2 * n)) / (1 + z * z / n)
    let half =
      z / (1 + z * z / n) * (share * (1 - share) / n + z * z / (4 * n * n)).squareRoot()
    let lower = share == 0 ? 0 : max(center - half, 0)
    let upper = share == 1 ? 1 : min(center + half, 1)
    return lower...upper
  }
}
