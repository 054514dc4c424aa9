// SPDX-License-Identifier: Apache-2.0

import ThawConsole

/// What a search measures.
package protocol SearchObjective {
  /// How many degrees of thoroughness a trial can be measured with.
  var rungs: Int { get }
  /// What the network of these values costs; see ``SearchLimit``.
  func costs(of parameters: [String: SearchValue]) throws -> [String: Double]
  /// Measures a trial.
  ///
  /// - Parameters:
  ///   - earlier: what the rungs below measured.
  ///   - repetition: 0 for the trial itself; other numbers are other seeds, and the last rung.
  /// - Throws: `SearchFailure` for values that cannot be used; other errors end the search.
  func measure(
    _ parameters: [String: SearchValue], rung: Int, earlier: [SearchMeasurement], repetition: Int
  ) throws -> SearchMeasurement
  /// Seconds of the measurement before that no repetition of it takes again.
  var preparation: Double { get }
}

extension SearchObjective {
  /// Nothing is kept.
  package var preparation: Double { 0 }
}

/// Why values could not be measured: the search goes on with others.
package struct SearchFailure: Error, CustomStringConvertible {
  /// A sentence.
  package let description: String

  /// A reason.
  package init(_ description: String) { self.description = description }
}

/// Measures what the schedule asks for and writes it down, until all is done or the time is up.
package struct Search {
  /// What to measure.
  package let schedule: SearchSchedule
  /// Where it is written down.
  package let journal: SearchJournal
  /// How it is measured.
  package let objective: any SearchObjective
  /// Seconds from any origin.
  package var clock: () -> Double = ProgressLine.monotonicSeconds

  /// A search.
  package init(
    _ schedule: SearchSchedule, _ journal: SearchJournal, _ objective: any SearchObjective
  ) {
    self.schedule = schedule
    self.journal = journal
    self.objective = objective
  }

  /// Goes on from what the journal has.
  ///
  /// - Parameters:
  ///   - count: trials in all, those of the journal included.
  ///   - seconds: time for it; nil for as long as it takes. What is kept back for the finalists is taken from
  ///     how long trials took.
  ///   - onEntry: called after each measurement, with all trials; what it throws ends the search.
  /// - Returns: all trials.
  /// - Throws: errors of the objective, the journal and the hook; what is written down stays.
  package func run(
    trials count: Int, seconds: Double? = nil,
    onEntry: (SearchEntry, [SearchTrial]) throws -> Void = { _, _ in }
  ) throws -> [SearchTrial] {
    let start = clock()
    while true {
      let trials = SearchTrial.all(in: journal.entries)
      let left = seconds.map { $0 - (clock() - start) }
      let isClosing = left.map { $0 <= closingSeconds(trials) } ?? false
      if let left, left <= 0 { return trials }
      guard let task = schedule.next(after: trials, count: count, isClosing: isClosing) else {
        return trials
      }
      let entry = try measured(task, trials)
      try journal.append(entry)
      try onEntry(entry, SearchTrial.all(in: journal.entries))
    }
  }

  /// How long the finalists will take, by how long whole trials took. Features that were computed for one are in
  /// the cache when it is repeated.
  private func closingSeconds(_ trials: [SearchTrial]) -> Double {
    let whole = trials.filter { $0.measurements.count == schedule.rungs }
    let entries = journal.entries.filter { $0.kind != .test }
    let dearest =
      whole.map { trial in
        entries.filter { $0.id == trial.id && $0.kind == .trial }.reduce(0) {
          $0 + max($1.seconds - ($1.preparation ?? 0), 0)
        }
      }.max() ?? 0
    return dearest * Double((schedule.finalists + 1) * schedule.repetitions)
  }

  private func measured(
    _ task: SearchSchedule.Task, _ trials: [SearchTrial]
  ) throws -> SearchEntry {
    let begin = clock()
    var entry: SearchEntry
    switch task {
    case .trial(let id, let rung, let parameters):
      entry = SearchEntry(.trial, id: id, rung: rung, parameters: parameters)
      entry.costs = rung == 0 ? [:] : trials[id].costs
      let earlier = rung == 0 ? [] : trials[id].measurements
      do {
        if rung == 0 { entry.costs = try objective.costs(of: parameters) }
        let exceeded = schedule.limits.filter { (entry.costs[$0.key] ?? 0) > $0.value }.keys
          .sorted()
        if exceeded.isEmpty {
          entry.measurement = try objective.measure(
            parameters, rung: rung, earlier: earlier, repetition: 0)
        } else {
          entry.problem = "More than allowed: \(exceeded.joined(separator: ", "))."
        }
      } catch let failure as SearchFailure { entry.problem = failure.description }
    case .repetition(let id, let number, let parameters):
      entry = SearchEntry(
        .repetition, id: id, rung: schedule.rungs - 1, repetition: number, parameters: parameters)
      entry.costs = trials[id].costs
      do {
        entry.measurement = try objective.measure(
          parameters, rung: schedule.rungs - 1, earlier: [], repetition: number)
      } catch let failure as SearchFailure { entry.problem = failure.description }
    }
    if let measurement = entry.measurement,
      !(schedule.metric.value(of: measurement)?.isFinite ?? false) || !measurement.loss.isFinite
    {
      entry.measurement = nil
      entry.problem = "The \(schedule.metric.rawValue) is no number."
    }
    entry.seconds = clock() - begin
    if entry.measurement != nil, objective.preparation > 0 {
      entry.preparation = objective.preparation
    }
    return entry
  }
}
