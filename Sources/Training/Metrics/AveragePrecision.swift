// SPDX-License-Identifier: Apache-2.0

extension RankingMetrics {
  /// The mean of the precision over the positives, going down the scores: how well a class's samples come
  /// before all others.
  ///
  /// With P[n] and R[n] precision and recall at the n-th different score: sum (R[n] - R[n-1]) * P[n].
  /// Equal scores are one step. Nil without positives, and without negatives: then
  /// any order of the samples is as good as any other, and 1 would say nothing. NaN scores trap.
  ///
  /// - Source: scikit-learn's `average_precision_score`.
  package static func averagePrecision(scores: [Float], isPositive: [Bool]) -> Double? {
    precondition(scores.count == isPositive.count, "Every score needs to know its class.")
    precondition(scores.allSatisfy { !$0.isNaN }, "A score is NaN.")
    let positives = isPositive.count { $0 }
    guard positives > 0, positives < scores.count else { return nil }
    let order = scores.indices.sorted { scores[$0] > scores[$1] }
    var (sum, found, start) = (0.0, 0, 0)
    while start < order.count {
      var (end, new) = (start, 0)
      while end < order.count, scores[order[end]] == scores[order[start]] {
        if isPositive[order[end]] { new += 1 }
        end += 1
      }
      found += new
      sum += Double(new) * Double(found) / Double(end)
      start = end
    }
    return sum / Double(positives)
  }
}
