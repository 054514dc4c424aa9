// SPDX-License-Identifier: Apache-2.0

/// The range a true proportion plausibly lies in, from a finite sample.
public enum ProportionInterval {
  /// The Wilson score interval of `successes` out of `count`; 0...1 when `count` is 0.
  ///
  /// With p = successes / count and z the normal quantile:
  /// (p + z^2/2n +- z sqrt(p(1-p)/n + z^2/4n^2)) / (1 + z^2/n)
  ///
  /// Unlike p +- z sigma it stays inside 0...1 and has a width even when every photo is right.
  /// - Parameter quantile: z; 1.96 for 95 %.
  /// - Source: Wilson 1927, J. Am. Stat. Assoc. 22, 209-212.
  public static func wilson(
    successes: Int, count: Int, quantile: Double = 1.959963984540054
  ) -> ClosedRange<Double> {
    precondition(
      successes >= 0 && successes <= max(count, 0), "\(successes) successes out of \(count).")
    guard count > 0 else { return 0...1 }
    let (n, z2) = (Double(count), quantile * quantile)
    let p = Double(successes) / n
    let centre = (p + z2 / (2 * n)) / (1 + z2 / n)
    let half = quantile * (p * (1 - p) / n + z2 / (4 * n * n)).squareRoot() / (1 + z2 / n)
    // Exact ends, which the formula misses by a rounding error.
    let low = successes == 0 ? 0 : max(centre - half, 0)
    return low...(successes == count ? 1 : min(centre + half, 1))
  }
}
