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
    guard trials > 0 else { return 0...1 }
    let n = Double(trials)
    let share = Double(successes) / n
    let center = (share + z * z / (2 * n)) / (1 + z * z / n)
    let half =
      z / (1 + z * z / n) * (share * (1 - share) / n + z * z / (4 * n * n)).squareRoot()
    let lower = successes == 0 ? 0 : max(center - half, 0)
    let upper = successes == trials ? 1 : min(center + half, 1)
    return lower...upper
  }
}
