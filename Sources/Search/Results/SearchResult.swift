// SPDX-License-Identifier: Apache-2.0

/// What a search found: the document that `thaw search --json` prints.
package struct SearchResult: Encodable, Sendable {
  /// One trial.
  package struct Trial: Encodable, Sendable {
    /// From 0; 0 is the recipe as it was.
    package let id: Int
    /// The values of the parameters that mattered.
    package let parameters: [String: SearchValue]
    /// The metric at the highest rung that it reached; nil when it failed or costs too much.
    package let metric: Double?
    /// How many degrees of thoroughness it was measured with.
    package let rungs: Int
    /// What its network costs.
    package let limits: [String: Double]
    /// Time of all of its trainings.
    package let seconds: Double
    /// Why there is no metric, or no further one.
    package let problem: String?
  }

  /// A trial that was repeated with other seeds.
  package struct Finalist: Encodable, Sendable {
    /// The trial.
    package let id: Int
    /// The metric over the repetitions, none of which took part in choosing it as a finalist.
    package let repeated: MeanInterval
    /// By how much it is better than the recipe as it was, seed by seed; nil for that itself.
    package let gain: MeanInterval?
  }

  /// The winner.
  package struct Best: Encodable, Sendable {
    /// The trial.
    package let id: Int
    /// Its values.
    package let parameters: [String: SearchValue]
    /// The metric when it was tried.
    package let metric: Double
    /// The same over the repetitions; nil without them.
    package let repeated: MeanInterval?
    /// By how much it is better than the recipe as it was; nil where that is not known.
    package let gain: MeanInterval?
    /// What its network costs.
    package let limits: [String: Double]
    /// On the test photos, judged once; nil without test photos.
    package let test: SearchMeasurement?
    /// The recipe with its values.
    package let recipe: String
  }

  /// What was made as good as possible.
  package let metric: SearchMetric
  /// What a network was allowed to cost.
  package let atMost: [String: Double]
  /// Folds of the cross-validation; 0 where the validation photos judged.
  package let folds: Int
  /// In the order in which they were begun.
  package let trials: [Trial]
  /// The best first.
  package let finalists: [Finalist]
  /// Nil when no trial could be measured within the limits.
  package let best: Best?
  /// How much of the differences between trials each parameter explains by itself, 0...1; nil while there are
  /// too few.
  package let importance: [String: Double]?
  /// Trials that no more fit into the time.
  package let isComplete: Bool
  /// Time of everything that is in the journal.
  package let seconds: Double
  /// The pretrained networks that were compared first; nil when there was no choice.
  package var backbones: [BackboneComparison.Row]?
  /// What was assumed or must be known, as sentences.
  package var remarks: [String]

  /// Puts together what the journal has.
  ///
  /// - Parameter recipe: the path of the winner's.
  package init(
    _ trials: [SearchTrial], _ schedule: SearchSchedule, folds: Int, recipe: String,
    isComplete: Bool
  ) {
    metric = schedule.metric
    atMost = schedule.limits
    self.folds = folds
    self.isComplete = isComplete
    let value = { (trial: SearchTrial) in
      trial.measurements.last.flatMap(schedule.metric.value(of:))
    }
    self.trials = trials.map { trial in
      Trial(
        id: trial.id, parameters: trial.parameters, metric: value(trial),
        rungs: trial.measurements.count, limits: trial.costs, seconds: trial.seconds,
        problem: trial.problem)
    }
    finalists = SearchResult.finalists(trials, schedule)
    let winner =
      finalists.first.map { trials[$0.id] }
      ?? schedule.ranking(trials).first {
        $0.rung != nil && $0.problem == nil && schedule.isAllowed($0)
      }
    let finalist = finalists.first
    best = winner.flatMap { winner in
      value(winner).map { metric in
        Best(
          id: winner.id, parameters: winner.parameters, metric: metric,
          repeated: finalist?.repeated, gain: finalist?.gain, limits: winner.costs,
          test: winner.test, recipe: recipe)
      }
    }
    importance = SearchResult.importance(trials, schedule)
    seconds = trials.reduce(0) { $0 + $1.seconds }
    remarks = SearchResult.remarks(finalists, best)
  }

  private static func finalists(
    _ trials: [SearchTrial], _ schedule: SearchSchedule
  ) -> [Finalist] {
    let metric = schedule.metric
    func values(_ trial: SearchTrial) -> [Int: Double] {
      trial.repetitions.compactMapValues(metric.value(of:))
    }
    // What diverges with some seeds is not judged by those with which it did not.
    let contenders = schedule.contenders(trials).filter {
      !values($0).isEmpty && $0.failedRepetitions.isEmpty
    }
    // All by the same seeds, also where time ran out among them.
    let numbers = contenders.map { Set(values($0).keys) }
    let shared = numbers.dropFirst().reduce(numbers.first ?? []) { $0.intersection($1) }
    guard !shared.isEmpty else { return [] }
    let start = contenders.first { schedule.start != nil && $0.id == 0 }.map(values)
    return contenders.map { trial in
      let own = values(trial).filter { shared.contains($0.key) }
      let gains = start.map { start in
        own.sorted { $0.key < $1.key }.compactMap { number, value in
          start[number].map { metric.merit(value) - metric.merit($0) }
        }
      }
      let isStart = schedule.start != nil && trial.id == 0
      return Finalist(
        id: trial.id, repeated: MeanInterval(own.sorted { $0.key < $1.key }.map(\.value)),
        gain: isStart ? nil : gains.flatMap { $0.isEmpty ? nil : MeanInterval($0) })
    }.sorted {
      // Of equal ones the recipe as it was comes first: nothing speaks for a change.
      (-metric.merit($0.repeated.mean), $0.id) < (-metric.merit($1.repeated.mean), $1.id)
    }
  }

  private static func importance(
    _ trials: [SearchTrial], _ schedule: SearchSchedule
  ) -> [String: Double]? {
    let space = schedule.sampler.space
    // The first rung, the one that every trial was measured at.
    let measured = trials.compactMap { trial -> ([Double?], Double)? in
      guard let first = trial.measurements.first, let value = schedule.metric.value(of: first)
      else { return nil }
      return (space.point(of: trial.parameters), value)
    }
    let shares = ParameterImportance.shares(
      measured.map(\.0), measured.map(\.1), seed: schedule.sampler.seed)
    return shares.map { Dictionary(uniqueKeysWithValues: zip(space.parameters.map(\.name), $0)) }
  }

  private static func remarks(_ finalists: [Finalist], _ best: Best?) -> [String] {
    guard let best else { return ["No trial could be measured within the limits."] }
    var remarks: [String] = []
    if best.id == 0 {
      remarks.append("Nothing that was tried is better than the recipe as it is.")
    } else if best.gain.map({ $0.count < 2 || $0.lower <= 0 }) ?? true {
      remarks.append(
        "The winner and the recipe as it is cannot be told apart: the difference may as well be chance."
      )
    }
    if best.test == nil {
      remarks.append(
        "There are no test photos: the same photos chose the winner and judge it here, which flatters it."
      )
    }
    return remarks
  }
}
