// SPDX-License-Identifier: Apache-2.0

/// Two ways of running a network on the same photos, compared photo by photo: much sharper than
/// comparing two means.
package struct PairedLosses: Sendable, Equatable {
  /// Mean of the first way's loss minus the second's.
  package let difference: Double
  /// Its standard error; infinite for fewer than two photos.
  package let standardError: Double
  /// Photos that only the second way gets right.
  package let gained: Int
  /// Photos that only the first way gets right.
  package let lost: Int
  /// Photos whose loss the second way lowers, less those whose loss it raises, in standard errors.
  package let surer: Double
  /// Number of photos.
  package let count: Int

  /// Compares two sets of results for the same photos; traps when their counts differ.
  package init(first: PhotoResults, second: PhotoResults) {
    precondition(first.losses.count == second.losses.count, "The photos differ in number.")
    let differences = zip(first.losses, second.losses).map { $0 - $1 }
    count = differences.count
    let mean = differences.reduce(0, +) / Double(max(count, 1))
    let squares = differences.reduce(0) { $0 + ($1 - mean) * ($1 - mean) }
    difference = mean
    standardError =
      count < 2 ? .infinity : (squares / Double(count - 1) / Double(count)).squareRoot()
    let (gained, lost) = (
      zip(first.isRight, second.isRight).count { !$0 && $1 },
      zip(first.isRight, second.isRight).count { $0 && !$1 }
    )
    (self.gained, self.lost) = (gained, lost)
    surer = PairedLosses.sign(
      more: differences.count { $0 > 0 }, fewer: differences.count { $0 < 0 })
  }

  /// How many standard errors more photos are gained than lost.
  package var sigma: Double { PairedLosses.sign(more: gained, fewer: lost) }

  /// The share of photos that the second way may at most gain: what it gained and two standard errors.
  package var mostGain: Double {
    (Double(gained - lost) + 2 * Double(gained + lost).squareRoot()) / Double(max(count, 1))
  }

  /// The sign test: if each of the photos could as well have changed the other way, the difference of
  /// the two counts has a standard error of the root of their sum.
  private static func sign(more: Int, fewer: Int) -> Double {
    Double(more - fewer) / Double(max(more + fewer, 1)).squareRoot()
  }

  /// Whether the second way is better beyond chance, in the loss or in the number of right photos:
  /// three standard errors of the mean difference, or of the count of changed photos.
  package var isBetter: Bool {
    difference > 3 * standardError || sigma > 3
  }

  /// Gain of accuracy of the second way.
  package var accuracyGain: Double { Double(gained - lost) / Double(max(count, 1)) }
}

/// Loss and correctness of every photo in one way of running a network.
package struct PhotoResults: Sendable, Equatable {
  /// -log of the true class's probability.
  package let losses: [Double]
  /// Whether the true class has the largest logit.
  package let isRight: [Bool]

  /// Judges logits; losses above 27.6 count as 27.6, as in evaluations, and so do NaN.
  package init(_ output: PhaseOutput, labels: [Int]) {
    losses = output.logits.crossEntropies(labels).map { $0 < 27.6 ? $0 : 27.6 }
    isRight = zip(output.logits.largestColumns(), labels).map { $0 == $1 }
  }

  /// Results that were taken elsewhere.
  package init(losses: [Double], isRight: [Bool]) {
    self.losses = losses
    self.isRight = isRight
  }

  /// Share of right photos.
  package var accuracy: Double {
    isRight.isEmpty ? 0 : Double(isRight.count { $0 }) / Double(isRight.count)
  }
  /// Mean loss.
  package var loss: Double { losses.reduce(0, +) / Double(max(losses.count, 1)) }

  /// These photos and others.
  package static func + (first: PhotoResults, second: PhotoResults) -> PhotoResults {
    PhotoResults(losses: first.losses + second.losses, isRight: first.isRight + second.isRight)
  }
}
