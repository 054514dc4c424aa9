// SPDX-License-Identifier: Apache-2.0

import Foundation
import Testing
import ThawSearch
import ThawTensors

/// Which features serve best.
struct BackboneComparisonTests {
  /// The evidence of one class by the plain formula: the density of the labels under the normal distribution that
  /// the model gives them, with the precisions of the best evidence found on a fine grid.
  @Test func logMEIsTheHighestEvidence() throws {
    var stream = RandomStream(seed: 5, purpose: .procedural)
    let features = (0..<30).map { _ in (0..<3).map { _ in stream.normal() } }
    let labels = features.map { $0[0] + 0.5 * stream.normal() > 0 ? 1 : 0 }
    let found = try #require(FeatureEvidence.logME(features, labels: labels, classes: 2))
    var scores: [Double] = []
    for index in 0...1 {
      let target = labels.map { $0 == index ? 1.0 : 0.0 }
      var best = -Double.infinity
      for a in stride(from: -3.0, through: 5, by: 0.05) {
        for b in stride(from: -1.0, through: 5, by: 0.05) {
          best = max(best, density(features, target, alpha: exp(a), beta: exp(b)))
        }
      }
      scores.append(best / 30)
    }
    #expect(abs(found - (scores[0] + scores[1]) / 2) < 2e-3)
  }

  /// log N(y; 0, 1/beta + X X^T / alpha) by elimination.
  private func density(
    _ features: [[Double]], _ target: [Double], alpha: Double, beta: Double
  ) -> Double {
    let count = target.count
    var matrix = features.enumerated().map { row, first in
      features.enumerated().map { column, second in
        zip(first, second).reduce(row == column ? 1 / beta : 0) { $0 + $1.0 * $1.1 / alpha }
      }
    }
    var right = target
    var (determinant, square) = (0.0, 0.0)
    for pivot in 0..<count {
      determinant += log(matrix[pivot][pivot])
      square += right[pivot] * right[pivot] / matrix[pivot][pivot]
      for row in (pivot + 1)..<max(count, pivot + 1) {
        let factor = matrix[row][pivot] / matrix[pivot][pivot]
        for column in pivot..<count { matrix[row][column] -= factor * matrix[pivot][column] }
        right[row] -= factor * right[pivot]
      }
    }
    return -(determinant + square + Double(count) * log(2 * Double.pi)) / 2
  }

  @Test func featuresThatKnowTheLabelsScoreHigher() throws {
    var stream = RandomStream(seed: 6, purpose: .procedural)
    let labels = (0..<60).map { $0 % 3 }
    func features(_ strength: Double) -> [[Double]] {
      labels.map { label in
        (0..<8).map { stream.normal() + ($0 == label ? strength : 0) }
      }
    }
    let scores = [0.0, 2, 6].compactMap {
      FeatureEvidence.logME(features($0), labels: labels, classes: 3)
    }
    try #require(scores.count == 3)
    #expect(scores[0] < scores[1] && scores[1] < scores[2])
  }

  @Test func aGapIsSeenPhotoByPhoto() {
    let best = (0..<200).map { $0 % 10 != 0 }
    var alike = best
    alike[1] = false
    alike[0] = true
    #expect(BackboneComparison.gap(alike, best).upper >= 0)
    let worse = (0..<200).map { $0 % 10 != 0 && $0 % 7 != 0 }
    #expect(BackboneComparison.gap(worse, best).upper < 0)
  }

  @Test func ofThoseThatCannotBeToldApartTheFastestIsTaken() {
    func row(_ name: String, _ latency: Double, _ isKept: Bool) -> BackboneComparison.Row {
      .init(
        name: name, accuracy: 0.9, gap: .init(lower: -0.1, upper: 0.1), logME: 0,
        featuresPerSecond: nil, latency: latency, size: 1, isKept: isKept)
    }
    #expect(
      BackboneComparison.choice([
        row("best", 30, true), row("fast", 10, true), row("bad", 1, false),
      ])
        == "fast")
  }
}
