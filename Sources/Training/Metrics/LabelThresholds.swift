// SPDX-License-Identifier: Apache-2.0

package import ThawTensors

/// From which probability on a sample gets a label, where it may get several.
package enum LabelThresholds {
  /// What is used where samples say nothing.
  package static let ordinary: Float = 0.5
  /// A class with fewer samples that have it, or that have it not, keeps ``ordinary``: what suits two
  /// photos best suits no others.
  package static let fewest = 3

  /// For each class the threshold with the highest F1 over samples that nothing was trained on.
  ///
  /// Candidates lie half-way between neighbouring scores, so that none of them is close to a sample. Of
  /// equally good ones the nearest to a half is taken.
  ///
  /// - Parameter probabilities: [n, classes].
  package static func chosen(_ probabilities: Tensor<Float>, _ targets: TargetRows) -> [Float] {
    precondition(
      probabilities.shape == [targets.count, targets.classes],
      "Probabilities \(probabilities.shape) do not fit \(targets.count) rows of targets.")
    return (0..<targets.classes).map { column in
      let (scores, isPositive) = targets.known(column, probabilities)
      return chosen(scores: scores, isPositive: isPositive)
    }
  }

  /// See ``chosen(_:_:)``, of one class.
  static func chosen(scores: [Float], isPositive: [Bool]) -> Float {
    let positives = isPositive.count { $0 }
    guard positives >= fewest, scores.count - positives >= fewest else { return ordinary }
    var best: (f1: Double, threshold: Float) = (-1, ordinary)
    for point in OperatingPoint.all(scores: scores, isPositive: isPositive) {
      if point.f1 > best.f1
        || point.f1 == best.f1 && abs(point.threshold - ordinary) < abs(best.threshold - ordinary)
      {
        best = (point.f1, point.threshold)
      }
    }
    return best.threshold
  }
}

extension TargetRows {
  /// The scores of the samples whose label of class `column` is known, and those labels.
  ///
  /// - Parameter scores: [n, classes].
  package func known(
    _ column: Int, _ scores: Tensor<Float>
  ) -> (scores: [Float], isPositive: [Bool]) {
    scores.withUnsafeElements { elements in
      var result: (scores: [Float], isPositive: [Bool]) = ([], [])
      for row in 0..<count {
        guard let label = label(row, column) else { continue }
        result.scores.append(elements[row * classes + column])
        result.isPositive.append(label)
      }
      return result
    }
  }
}
