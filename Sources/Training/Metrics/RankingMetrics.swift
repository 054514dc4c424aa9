// SPDX-License-Identifier: Apache-2.0

package import ThawTensors

/// Metrics that look at the order of scores rather than at the best one.
package enum RankingMetrics {
  /// Chance that a positive sample scores above a negative one; ties count one half.
  ///
  /// Nil unless there are both positives and negatives. NaN scores trap.
  ///
  /// - Source: Mann and Whitney's U; scikit-learn's `roc_auc_score`.
  package static func areaUnderCurve(scores: [Float], isPositive: [Bool]) -> Double? {
    precondition(scores.count == isPositive.count, "Every score needs to know its class.")
    precondition(scores.allSatisfy { !$0.isNaN }, "A score is NaN.")
    let positives = isPositive.count { $0 }
    let negatives = scores.count - positives
    guard positives > 0, negatives > 0 else { return nil }
    let order = scores.indices.sorted { scores[$0] < scores[$1] }
    var (rankSum, start) = (0.0, 0)
    while start < order.count {
      var end = start + 1
      while end < order.count, scores[order[end]] == scores[order[start]] { end += 1 }
      // Equal scores share the mean of the 1-based ranks start + 1 ... end.
      let rank = Double(start + 1 + end) / 2
      for position in start..<end where isPositive[order[position]] { rankSum += rank }
      start = end
    }
    let smallest = Double(positives) * Double(positives + 1) / 2
    return (rankSum - smallest) / (Double(positives) * Double(negatives))
  }

  /// Mean over classes of each against the rest; with two classes the ordinary AUC of the second.
  ///
  /// Classes that all or none of the samples belong to have no curve and are left out; nil when
  /// none has one.
  ///
  /// - Parameter probabilities: [n, classes].
  /// - Source: scikit-learn's `roc_auc_score(multi_class="ovr", average="macro")`.
  package static func areaUnderCurve(probabilities: Tensor<Float>, labels: [Int]) -> Double? {
    let classes = width(of: probabilities, labels: labels)
    let areas = (classes == 2 ? 1..<2 : 0..<classes).compactMap { index -> Double? in
      let scores = labels.indices.map { probabilities[$0 * classes + index] }
      return areaUnderCurve(scores: scores, isPositive: labels.map { $0 == index })
    }
    return areas.isEmpty ? nil : areas.reduce(0, +) / Double(areas.count)
  }

  /// Share of samples whose class is among the `k` highest scores; 0 without samples.
  ///
  /// Equal scores count as ranked in class order. `k` at or above the number of classes gives 1.
  ///
  /// - Parameter scores: [n, classes], logits or probabilities.
  package static func topAccuracy(_ k: Int, scores: Tensor<Float>, labels: [Int]) -> Double {
    let classes = width(of: scores, labels: labels)
    precondition(k > 0, "Top-k needs a k of at least 1.")
    guard !labels.isEmpty else { return 0 }
    let hits = scores.withUnsafeElements { elements in
      labels.indices.count { sample in
        let row = UnsafeBufferPointer(
          rebasing: elements[sample * classes..<(sample + 1) * classes])
        let label = labels[sample]
        let ahead = row.indices.count {
          row[$0] > row[label] || (row[$0] == row[label] && $0 < label)
        }
        return ahead < k
      }
    }
    return Double(hits) / Double(labels.count)
  }

  private static func width(of scores: Tensor<Float>, labels: [Int]) -> Int {
    precondition(
      scores.shape.rank == 2 && scores.shape[0] == labels.count && scores.shape[1] > 0,
      "Scores \(scores.shape) do not fit \(labels.count) labels.")
    precondition(
      labels.allSatisfy { $0 >= 0 && $0 < scores.shape[1] },
      "A label is outside 0..<\(scores.shape[1]).")
    return scores.shape[1]
  }
}
