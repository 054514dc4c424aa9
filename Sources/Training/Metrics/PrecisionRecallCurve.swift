// SPDX-License-Identifier: Apache-2.0

import ThawTensors

/// Precision against recall of one class, over all thresholds.
package struct PrecisionRecallCurve: Sendable, Equatable, Codable {
  /// One threshold.
  package struct Point: Sendable, Equatable, Codable {
    /// From this probability on a sample gets the class.
    package let threshold: Float
    package let precision: Double
    package let recall: Double
  }

  /// The class.
  package let name: String
  /// Samples that have it.
  package let positives: Int
  /// See ``RankingMetrics/averagePrecision(scores:isPositive:)``.
  package let averagePrecision: Double
  /// From the highest threshold to the lowest; of more than ``mostPoints`` evenly spaced ones, with the
  /// ends.
  package let points: [Point]

  private enum CodingKeys: String, CodingKey {
    case name, positives, points
    case averagePrecision = "average_precision"
  }

  /// With more classes than this no curves are drawn.
  package static let mostClasses = 100
  static let mostPoints = 64

  /// Nil for a class that all samples have, or none.
  init?(name: String, scores: [Float], isPositive: [Bool]) {
    guard
      let average = RankingMetrics.averagePrecision(scores: scores, isPositive: isPositive)
    else { return nil }
    self.name = name
    positives = isPositive.count { $0 }
    averagePrecision = average
    let all = OperatingPoint.all(scores: scores, isPositive: isPositive)
    let step = max((all.count + Self.mostPoints - 1) / Self.mostPoints, 1)
    // Behind the last sample of the class nothing is found any more.
    let last = all.firstIndex { $0.truePositives == $0.positives } ?? all.count - 1
    points = all.indices.filter { $0 <= last && ($0 % step == 0 || $0 == last) }.map {
      Point(threshold: all[$0].threshold, precision: all[$0].precision, recall: all[$0].recall)
    }
  }

  /// One a class that some samples have and others have not; none with more than ``mostClasses``.
  ///
  /// - Parameter probabilities: [n, classes].
  static func all(
    _ probabilities: Tensor<Float>, labels: [Int], classNames: [String]
  ) -> [PrecisionRecallCurve] {
    guard classNames.count <= mostClasses else { return [] }
    let classes = classNames.count
    return probabilities.withUnsafeElements { elements in
      classNames.enumerated().compactMap { column, name in
        PrecisionRecallCurve(
          name: name, scores: labels.indices.map { elements[$0 * classes + column] },
          isPositive: labels.map { $0 == column })
      }
    }
  }

  /// The same where samples may have several labels, of those whose label is known.
  static func all(
    _ probabilities: Tensor<Float>, _ targets: TargetRows, classNames: [String]
  ) -> [PrecisionRecallCurve] {
    guard classNames.count <= mostClasses else { return [] }
    return classNames.enumerated().compactMap { column, name in
      let (scores, isPositive) = targets.known(column, probabilities)
      return PrecisionRecallCurve(name: name, scores: scores, isPositive: isPositive)
    }
  }
}
