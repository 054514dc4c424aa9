// SPDX-License-Identifier: Apache-2.0

/// A threshold of one class: how it came about, and what it was worth on the samples that chose it.
package struct ChosenThreshold: Sendable, Hashable, Codable {
  /// What a threshold may be chosen for.
  package enum Measure: String, Sendable, Hashable, Codable, CaseIterable {
    case precision, recall
  }

  /// The class.
  package let name: String
  /// From this probability on a sample is called so.
  package let threshold: Float
  /// What it was chosen for; nil when somebody gave the number.
  package let measure: Measure?
  /// How much of that was wanted.
  package let wanted: Double?
  /// Samples that chose it, such as `valid`; nil when somebody gave the number.
  package let split: String?
  /// How photos were looked at then.
  package let look: String?
  /// How many samples, and how many of the class.
  package let (count, positives): (Int?, Int?)
  /// What it was worth on them, with where that lies with 95 % confidence: two numbers.
  package let precision: Double?
  package let precisionInterval: [Double]?
  package let recall: Double?
  package let recallInterval: [Double]?

  private enum CodingKeys: String, CodingKey {
    case name, threshold, measure, wanted, split, look, count, positives, precision, recall
    case precisionInterval = "precision_interval"
    case recallInterval = "recall_interval"
  }

  /// A threshold that somebody gave.
  package init(name: String, threshold: Float) {
    (self.name, self.threshold) = (name, threshold)
    (measure, wanted, split, look) = (nil, nil, nil, nil)
    (count, positives, precision, recall) = (nil, nil, nil, nil)
    (precisionInterval, recallInterval) = (nil, nil)
  }

  /// Why no threshold can be chosen, as a sentence.
  package struct Failure: Error, Equatable { package let reason: String }

  /// Chooses a threshold: for a wanted precision the one with the highest recall that keeps it, for a wanted
  /// recall the one with the highest precision.
  ///
  /// - Parameters:
  ///   - scores: probabilities of the class of samples that nothing was trained on.
  ///   - split: what these samples are called.
  ///   - look: how photos were looked at.
  ///   - independent: the part of the samples that say something of their own.
  /// - Throws: ``Failure`` when the samples are too few, or no threshold keeps what is wanted.
  package init(
    name: String, _ measure: Measure, of wanted: Double, scores: [Float], isPositive: [Bool],
    split: String, look: String, independent: Double = 1
  ) throws(Failure) {
    let positives = isPositive.count { $0 }
    let fewest = LabelThresholds.fewest
    guard positives >= fewest, scores.count - positives >= fewest else {
      throw Failure(
        reason:
          "\(positives) of \(scores.count) \(split) photos are '\(name)': at least \(fewest) that are and"
          + " \(fewest) that are not are needed to choose a threshold")
    }
    let points = OperatingPoint.all(scores: scores, isPositive: isPositive).filter {
      $0.threshold > 0
    }
    let kept = points.filter {
      $0.truePositives > 0 && (measure == .precision ? $0.precision : $0.recall) >= wanted
    }
    let best = kept.max {
      measure == .precision
        ? ($0.recall, $0.precision) < ($1.recall, $1.precision)
        : ($0.precision, $0.recall) < ($1.precision, $1.recall)
    }
    guard let best else {
      let nearest = points.filter { $0.truePositives > 0 }.max {
        ($0.precision, $0.recall) < ($1.precision, $1.recall)
      }
      throw Failure(
        reason: "no threshold gives '\(name)' a \(measure) of \(wanted) on the \(split) photos"
          + (nearest.map {
            "; the highest precision is \(Self.rounded($0.precision)) (\($0.truePositives) of"
              + " \($0.predicted)), from a probability of \(Self.rounded(Double($0.threshold))) on, with"
              + " a recall of \(Self.rounded($0.recall))"
          } ?? ""))
    }
    func interval(_ share: Double, _ trials: Int) -> [Double] {
      let range = WilsonInterval.interval(share: share, trials: Double(trials) * independent)
      return [range.lowerBound, range.upperBound]
    }
    (self.name, threshold, self.measure, self.wanted) = (name, best.threshold, measure, wanted)
    (self.split, self.look) = (split, look)
    (count, self.positives) = (scores.count, positives)
    (precision, recall) = (best.precision, best.recall)
    precisionInterval = interval(best.precision, best.predicted)
    recallInterval = interval(best.recall, positives)
  }

  /// Whether what was wanted may well be missed on other samples: the interval reaches below it.
  package var isUncertain: Bool {
    let interval = measure == .precision ? precisionInterval : recallInterval
    guard let wanted, let lower = interval?.first else { return false }
    return lower < wanted
  }

  private static func rounded(_ value: Double) -> String {
    "\((value * 1000).rounded() / 1000)"
  }
}
