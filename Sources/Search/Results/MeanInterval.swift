// SPDX-License-Identifier: Apache-2.0

/// A mean over a few repetitions, and between which values it lies.
package struct MeanInterval: Sendable, Equatable, Encodable {
  /// Of the repetitions.
  package let mean: Double
  /// 95 % confidence, by Student's distribution: of other seeds and folds, not of other photos. The mean itself
  /// for a single one, which says nothing of how sure it is.
  package let lower: Double
  /// See ``lower``.
  package let upper: Double
  /// How many there are.
  package let count: Int

  /// - Parameter values: at least one.
  package init(_ values: [Double]) {
    precondition(!values.isEmpty, "There is no mean of nothing.")
    let count = Double(values.count)
    let mean = values.reduce(0, +) / count
    let squares = values.reduce(0) { $0 + ($1 - mean) * ($1 - mean) }
    let error = values.count < 2 ? 0 : (squares / (count - 1) / count).squareRoot()
    let half = error * MeanInterval.quantile(freedom: values.count - 1)
    (self.mean, lower, upper, self.count) = (mean, mean - half, mean + half, values.count)
  }

  /// The 97.5 % quantile of Student's distribution.
  ///
  /// - Source: Abramowitz and Stegun 1964, table 26.10.
  static func quantile(freedom: Int) -> Double {
    let table = [
      12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160,
      2.145, 2.131, 2.120, 2.110, 2.101, 2.093, 2.086,
    ]
    // Beyond the table a little too wide.
    return freedom < 1 ? 0 : table[min(freedom, table.count) - 1]
  }
}
