// SPDX-License-Identifier: Apache-2.0

import Glibc

/// A share of wrong predictions and how sure it is.
package struct ErrorRate: Sendable, Equatable, Codable {
  /// Share of wrong predictions, 0 to 1.
  package let error: Double
  /// Photos.
  package let count: Int

  /// `error` of `count` photos.
  package init(error: Double, count: Int) {
    precondition(count > 0 && (0...1).contains(error), "An error rate is a share of photos.")
    self.error = error
    self.count = count
  }

  /// Standard error, with one success and one failure added so that it is not 0 for an error of 0
  /// (Agresti and Coull 1998, halved).
  package var standardError: Double {
    let share = (error * Double(count) + 1) / Double(count + 2)
    return (share * (1 - share) / Double(count + 2)).squareRoot()
  }

  /// How much larger this error is than `other`, and two standard errors of that.
  package func excess(over other: ErrorRate) -> (gap: Double, noise: Double) {
    let variance =
      standardError * standardError + other.standardError * other.standardError
    return (error - other.error, 2 * variance.squareRoot())
  }
}
