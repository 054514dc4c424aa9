// SPDX-License-Identifier: Apache-2.0

import Glibc
package import ThawTensors

/// How often answers are right against how probable they were called.
package struct Reliability: Sendable, Equatable, Codable {
  /// Answers whose probability lies in one interval.
  package struct Bin: Sendable, Equatable, Codable {
    /// Bounds of the probability, the lower excluded (but 0).
    package let from: Double
    package let to: Double
    package let count: Int
    /// Mean probability of the answers; 0 of none.
    package let confidence: Double
    /// Share of them that is right; 0 of none.
    package let accuracy: Double
  }

  /// Expected calibration error: the mean over answers of |share right - mean probability| of their bin.
  package let expectedError: Double
  /// Mean of -log of the true class's probability.
  package let loss: Double
  /// Intervals of equal width.
  package let bins: [Bin]

  private enum CodingKeys: String, CodingKey {
    case loss, bins
    case expectedError = "ece"
  }

  /// Judges probabilities, [n, classes], against the true classes; at least one.
  ///
  /// - Source: Naeini et al. 2015; 15 bins as Guo et al. 2017.
  package init(_ probabilities: Tensor<Float>, labels: [Int], bins count: Int = 15) {
    precondition(
      probabilities.shape.rank == 2 && probabilities.shape[0] == labels.count && !labels.isEmpty,
      "Probabilities \(probabilities.shape) do not fit \(labels.count) labels.")
    let classes = probabilities.shape[1]
    var sums = [(count: Int, confidence: Double, right: Int)](repeating: (0, 0, 0), count: count)
    var loss = 0.0
    for (sample, (answer, label)) in zip(Probabilities.predictions(probabilities), labels)
      .enumerated()
    {
      let confidence = Double(probabilities[sample * classes + answer])
      let bin = min(max(Int((confidence * Double(count)).rounded(.up)) - 1, 0), count - 1)
      sums[bin].count += 1
      sums[bin].confidence += confidence
      if answer == label { sums[bin].right += 1 }
      loss -= log(
        max(Double(probabilities[sample * classes + label]), Evaluation.smallestProbability))
    }
    self.loss = max(loss / Double(labels.count), 0)
    bins = sums.enumerated().map { index, sum in
      Bin(
        from: Double(index) / Double(count), to: Double(index + 1) / Double(count),
        count: sum.count, confidence: sum.count == 0 ? 0 : sum.confidence / Double(sum.count),
        accuracy: sum.count == 0 ? 0 : Double(sum.right) / Double(sum.count))
    }
    expectedError =
      bins.reduce(0) { $0 + Double($1.count) * abs($1.accuracy - $1.confidence) }
      / Double(labels.count)
  }
}
