// SPDX-License-Identifier: Apache-2.0

package import ThawConsole

/// The one number that a search makes as good as it can.
package enum SearchMetric: String, Sendable, CaseIterable, Codable {
  /// Share of right answers; equal ones are told apart by the loss.
  case accuracy
  /// Mean of -log of the true class's probability.
  case loss
  /// Mean of the classes' F1.
  case macroF1 = "macro_f1"
  /// Mean of the classes' average precision, where photos may have several labels.
  case meanAveragePrecision = "mean_average_precision"

  /// Its value; nil where photos have one label and it needs several.
  package func value(of measurement: SearchMeasurement) -> Double? {
    switch self {
    case .accuracy: measurement.accuracy
    case .loss: measurement.loss
    case .macroF1: measurement.macroF1
    case .meanAveragePrecision: measurement.meanAveragePrecision
    }
  }

  /// Whether less is better.
  package var isSmallBest: Bool { self == .loss }

  /// The value as something of which more is better.
  func merit(_ value: Double) -> Double { isSmallBest ? -value : value }
}

/// What a network may cost: a trial that costs more is not trained.
package enum SearchLimit: String, Sendable, CaseIterable, Codable {
  /// Milliseconds from one photo's pixels to its answer, the median of several runs.
  case latency = "latency_ms"
  /// Megabytes (10^6 bytes) of the weights.
  case size = "size_mb"
  /// Megabytes that the compiled network takes, weights included.
  case memory = "memory_mb"

  /// Reads `latency_ms=20,size_mb=15`.
  ///
  /// - Throws: ``PipelineError/usage(_:)``.
  package static func parse(_ text: String) throws(PipelineError) -> [String: Double] {
    var limits: [String: Double] = [:]
    for part in text.split(separator: ",") {
      let sides = part.split(separator: "=", maxSplits: 1).map(String.init)
      guard sides.count == 2, let limit = SearchLimit(rawValue: sides[0]),
        let number = Double(sides[1]), number > 0, number.isFinite
      else {
        throw .usage(
          "--at-most \(part): expected METRIC=NUMBER with one of"
            + " \(allCases.map(\.rawValue).joined(separator: ", ")), and a number above 0.")
      }
      guard limits.updateValue(number, forKey: limit.rawValue) == nil else {
        throw .usage("--at-most names \(limit.rawValue) twice.")
      }
    }
    guard !limits.isEmpty else { throw .usage("--at-most has no value.") }
    return limits
  }
}
