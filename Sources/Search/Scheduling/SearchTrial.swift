// SPDX-License-Identifier: Apache-2.0

/// One set of values and all that was measured of it.
package struct SearchTrial: Sendable {
  /// From 0; 0 is the recipe as it was where the search starts from one.
  package let id: Int
  /// The parameters that matter.
  package let parameters: [String: SearchValue]
  /// What it costs; see ``SearchLimit``.
  package internal(set) var costs: [String: Double] = [:]
  /// What was measured at each rung so far, each more thorough than the one before.
  package internal(set) var measurements: [SearchMeasurement] = []
  /// By number, from 1: the same with other seeds.
  package internal(set) var repetitions: [Int: SearchMeasurement] = [:]
  /// Repetitions that failed.
  var failedRepetitions: Set<Int> = []
  /// On the test photos.
  package internal(set) var test: SearchMeasurement?
  /// All of its trainings.
  package internal(set) var seconds = 0.0
  /// Why there is no (further) measurement.
  package internal(set) var problem: String?

  /// The highest rung that it has reached; nil before the first.
  package var rung: Int? { measurements.isEmpty ? nil : measurements.count - 1 }

  /// The trials of a journal by number.
  package static func all(in entries: [SearchEntry]) -> [SearchTrial] {
    var trials: [SearchTrial] = []
    for entry in entries {
      if entry.id == trials.count {
        trials.append(SearchTrial(id: entry.id, parameters: entry.parameters))
      }
      guard trials.indices.contains(entry.id) else { continue }
      trials[entry.id].add(entry)
    }
    return trials
  }

  private mutating func add(_ entry: SearchEntry) {
    seconds += entry.seconds
    switch entry.kind {
    case .trial:
      costs = entry.costs
      problem = entry.problem
      if let measurement = entry.measurement { measurements.append(measurement) }
    case .repetition:
      repetitions[entry.repetition] = entry.measurement
      if entry.measurement == nil { failedRepetitions.insert(entry.repetition) }
    case .test: test = entry.measurement
    }
  }
}
