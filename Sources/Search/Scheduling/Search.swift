// SPDX-License-Identifier: Apache-2.0

import ThawConsole

/// What a search measures.
package protocol SearchObjective {
  /// How many degrees of thoroughness a trial can be measured with.
  var rungs: Int { get }
  /// What the network of these values costs; see ``SearchLimit``.
  func costs(of parameters: [String: SearchValue]) throws -> [String: Double]
  /// Of how many parts a measurement consists that can be made apart from each other, at least 1.
  func parts(of request: SearchRequest) -> Int
  /// Makes ready what the measurement needs, such as features; all ranks do this together.
  func prepare(_ request: SearchRequest) throws
  /// Measures one part, from 0; nil where there is nothing to judge by in it.
  ///
  /// - Throws: `SearchFailure` for values that cannot be used; other errors end the search.
  func measure(_ request: SearchRequest, part: Int) throws -> SearchMeasurement?
  /// What the parts, in their order, come to.
  func joined(_ parts: [SearchMeasurement?], of request: SearchRequest) throws -> SearchMeasurement
  /// Seconds of the measurement before that no repetition of it takes again.
  var preparation: Double { get }
}

extension SearchObjective {
  /// Nothing is kept.
  package var preparation: Double { 0 }
  /// One.
  package func parts(of request: SearchRequest) -> Int { 1 }
  /// Nothing is needed.
  package func prepare(_ request: SearchRequest) {}
  /// The only one.
  package func joined(
    _ parts: [SearchMeasurement?], of request: SearchRequest
  ) throws -> SearchMeasurement {
    guard let only = parts.first, let measurement = only else {
      throw SearchFailure("There was nothing to judge by.")
    }
    return measurement
  }

  /// All parts, one after the other.
  ///
  /// - Throws: as ``measure(_:part:)``.
  package func measure(_ request: SearchRequest) throws -> SearchMeasurement {
    try prepare(request)
    return try joined((0..<parts(of: request)).map { try measure(request, part: $0) }, of: request)
  }
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
  /// The ranks that measure; nil for this process alone.
  package var crew: SearchCrew?
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
      let cohort = cohort(trials, count: count, isClosing: isClosing)
      guard !cohort.tasks.isEmpty else { return trials }
      let (entries, isStopped) = try measured(cohort, trials)
      for entry in entries {
        try journal.append(entry)
        do { try onEntry(entry, SearchTrial.all(in: journal.entries)) } catch {
          // The others wait for more, unless they have stopped with this one.
          if !isStopped { try crew?.dismiss() }
          throw error
        }
      }
      if isStopped { throw PipelineError.interrupted }
    }
  }

  /// Tasks that are decided on together, as far as they are not measured yet.
  private struct Cohort {
    /// Entries of the journal that were known when they were decided; nil for all.
    var known: Int?
    var tasks: [SearchSchedule.Task]
  }

  /// What to measure next. Several trials that are decided on together do not know of each other's results,
  /// whoever measures them and wherever the search was interrupted: how many entries were known is in the
  /// journal.
  private func cohort(_ trials: [SearchTrial], count: Int, isClosing: Bool) -> Cohort {
    let width = crew.map { 2 * $0.ranks.count } ?? 1
    func tasks(after trials: [SearchTrial]) -> [SearchSchedule.Task] {
      schedule.tasks(after: trials, count: count, isClosing: isClosing, repetitionsAtOnce: width)
    }
    let entries = journal.entries
    if !isClosing, let known = entries.last?.known, known < entries.count {
      let left = tasks(after: SearchTrial.all(in: Array(entries[..<known]))).filter { task in
        !entries[known...].contains { task.isMeasured(by: $0) }
      }
      let trialsLeft = left.filter(\.isTrial)
      if !trialsLeft.isEmpty { return Cohort(known: known, tasks: trialsLeft) }
    }
    let next = tasks(after: trials)
    let isOfTrials = next.contains(where: \.isTrial)
    return Cohort(known: isOfTrials && schedule.atOnce > 1 ? entries.count : nil, tasks: next)
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
    let repetitions = (schedule.finalists + 1) * schedule.repetitions
    return dearest * Double(repetitions) / Double(crew?.ranks.count ?? 1)
  }

  /// Measures the first task of a cohort, or with other ranks all of them, in their order.
  private func measured(
    _ cohort: Cohort, _ trials: [SearchTrial]
  ) throws -> (entries: [SearchEntry], isStopped: Bool) {
    var asked: [(entry: SearchEntry, request: SearchRequest?)] = []
    for task in crew == nil ? Array(cohort.tasks.prefix(1)) : cohort.tasks {
      asked.append(try self.asked(task, trials, known: cohort.known))
    }
    let requests = asked.compactMap(\.request)
    var (results, isStopped) = ([SearchCrew.Result?](), false)
    if let crew, !requests.isEmpty {
      (results, isStopped) = try crew.measure(requests, objective)
    } else {
      results = try requests.map { try SearchCrew.alone($0, objective, clock) }
    }
    var (entries, remaining) = ([SearchEntry](), results[...])
    for (entry, request) in asked {
      guard request != nil else {
        entries.append(entry)
        continue
      }
      // A line knows of those before it: what was measured behind one that was not is given up.
      guard let result = remaining.popFirst() ?? nil else { break }
      entries.append(finished(entry, result))
    }
    return (entries, isStopped)
  }

  /// The line of a task before it is measured; without a request when there is nothing to measure.
  private func asked(
    _ task: SearchSchedule.Task, _ trials: [SearchTrial], known: Int?
  ) throws -> (SearchEntry, SearchRequest?) {
    switch task {
    case .trial(let id, let rung, let parameters):
      let begin = clock()
      var entry = SearchEntry(.trial, id: id, rung: rung, parameters: parameters)
      entry.known = known
      entry.costs = rung == 0 ? [:] : trials[id].costs
      do {
        if rung == 0 { entry.costs = try objective.costs(of: parameters) }
      } catch let failure as SearchFailure {
        entry.problem = failure.description
      }
      let exceeded = schedule.limits.filter { (entry.costs[$0.key] ?? 0) > $0.value }.keys.sorted()
      if !exceeded.isEmpty {
        entry.problem = "More than allowed: \(exceeded.joined(separator: ", "))."
      }
      entry.seconds = clock() - begin
      guard entry.problem == nil else { return (entry, nil) }
      let earlier = rung == 0 ? [] : trials[id].measurements
      return (entry, SearchRequest(parameters, rung: rung, earlier: earlier))
    case .repetition(let id, let number, let parameters):
      let rung = schedule.rungs - 1
      var entry = SearchEntry(
        .repetition, id: id, rung: rung, repetition: number, parameters: parameters)
      entry.costs = trials[id].costs
      return (entry, SearchRequest(parameters, rung: rung, repetition: number))
    }
  }

  private func finished(_ entry: SearchEntry, _ result: SearchCrew.Result) -> SearchEntry {
    var entry = entry
    (entry.measurement, entry.problem) = (result.measurement, result.problem)
    if let measurement = entry.measurement,
      !(schedule.metric.value(of: measurement)?.isFinite ?? false) || !measurement.loss.isFinite
    {
      entry.measurement = nil
      entry.problem = "The \(schedule.metric.rawValue) is no number."
    }
    entry.seconds += result.seconds
    if entry.measurement != nil, result.preparation > 0 { entry.preparation = result.preparation }
    return entry
  }
}
