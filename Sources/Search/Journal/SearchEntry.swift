// SPDX-License-Identifier: Apache-2.0

/// How a head did on photos that it was not trained on.
package struct SearchMeasurement: Sendable, Equatable, Codable {
  /// Photos judged.
  package var count: Int
  /// Share of right answers.
  package var accuracy: Double
  /// Mean of -log of the true class's probability.
  package var loss: Double
  /// Mean of the classes' F1.
  package var macroF1: Double
  /// Where photos may have several labels: mean of the classes' average precision.
  package var meanAveragePrecision: Double?

  /// A measurement.
  package init(
    count: Int, accuracy: Double, loss: Double, macroF1: Double,
    meanAveragePrecision: Double? = nil
  ) {
    self.count = count
    self.accuracy = accuracy
    self.loss = loss
    self.macroF1 = macroF1
    self.meanAveragePrecision = meanAveragePrecision
  }

  /// The mean of both over their photos.
  func joined(with other: SearchMeasurement) -> SearchMeasurement {
    let total = Double(max(count + other.count, 1))
    func mean(_ first: Double, _ second: Double) -> Double {
      (first * Double(count) + second * Double(other.count)) / total
    }
    return SearchMeasurement(
      count: count + other.count, accuracy: mean(accuracy, other.accuracy),
      loss: mean(loss, other.loss), macroF1: mean(macroF1, other.macroF1),
      meanAveragePrecision: meanAveragePrecision.map {
        mean($0, other.meanAveragePrecision ?? $0)
      })
  }
}

/// One line of a search's journal: something that was measured.
package struct SearchEntry: Sendable, Equatable, Codable {
  /// What was measured.
  package enum Kind: String, Sendable, Codable {
    /// A trial at one rung.
    case trial
    /// A finalist, once more with another seed.
    case repetition
    /// The winner on the test photos.
    case test
  }

  /// See ``Kind``.
  package var kind: Kind
  /// The trial, from 0.
  package var id: Int
  /// How thoroughly, from 0: see ``SearchObjective/rungs``.
  package var rung: Int
  /// 0 for the trial itself, then 1, 2…
  package var repetition: Int
  /// What was tried: the parameters that mattered.
  package var parameters: [String: SearchValue]
  /// Nil when a limit was exceeded or the training failed.
  package var measurement: SearchMeasurement?
  /// What the trial's network costs: ``SearchLimit`` by name.
  package var costs: [String: Double]
  /// How long it took.
  package var seconds: Double
  /// How much of it went into what repetitions find made, such as features; nil for none.
  package var preparation: Double?
  /// Why there is no measurement.
  package var problem: String?
  /// Where trials are decided on together: how many lines were known then. Nil for all lines before it.
  package var known: Int?

  /// An entry.
  package init(
    _ kind: Kind, id: Int, rung: Int = 0, repetition: Int = 0,
    parameters: [String: SearchValue], measurement: SearchMeasurement? = nil,
    costs: [String: Double] = [:], seconds: Double = 0, problem: String? = nil
  ) {
    self.kind = kind
    self.id = id
    self.rung = rung
    self.repetition = repetition
    self.parameters = parameters
    self.measurement = measurement
    self.costs = costs
    self.seconds = seconds
    self.problem = problem
  }
}
