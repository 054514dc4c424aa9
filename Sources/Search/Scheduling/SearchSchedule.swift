// SPDX-License-Identifier: Apache-2.0

/// What to measure next: a pure function of what has been measured.
///
/// New trials are measured quickly (the lowest rung: one fold, or few epochs). Whenever a third of the trials
/// at a rung is better than one that has not gone on, the best of them goes on to the next rung
/// (successive halving without waiting for a whole generation, so a search may be extended at any time). In
/// the end the best few, and the recipe as it was, are repeated with other seeds: what was only lucky in
/// being chosen has to show it again.
///
/// - Source: Li et al. 2018, arXiv:1810.05934 (ASHA).
package struct SearchSchedule: Sendable {
  /// Something to measure.
  package enum Task: Sendable, Equatable {
    /// A trial, at one rung.
    case trial(id: Int, rung: Int, parameters: [String: SearchValue])
    /// A finalist with another seed, from 1.
    case repetition(id: Int, number: Int, parameters: [String: SearchValue])

    /// Whether it is of a trial, not of a finalist's repetition.
    var isTrial: Bool {
      if case .trial = self { return true }
      return false
    }

    /// Whether a line of the journal is its result.
    func isMeasured(by entry: SearchEntry) -> Bool {
      switch self {
      case .trial(let id, let rung, _):
        entry.kind == .trial && entry.id == id && entry.rung == rung
      case .repetition(let id, let number, _):
        entry.kind == .repetition && entry.id == id && entry.repetition == number
      }
    }
  }

  /// Where trials are placed.
  package var sampler: CoarseToFine
  /// What is made good.
  package var metric = SearchMetric.accuracy
  /// What must not be exceeded.
  package var limits: [String: Double] = [:]
  /// Degrees of thoroughness, at least 1.
  package var rungs = 1
  /// One of so many goes on.
  package var share = 3
  /// Trials that are repeated.
  package var finalists = 3
  /// Seeds of each; 0 for no repetition.
  package var repetitions = 5
  /// Trials that are decided on together, so that as many can be measured at a time. Belongs to the search: it
  /// changes which trials there are, and how many measure them does not.
  package var atOnce = 1
  /// The first trial: the recipe as it is. Nil for none.
  package var start: [String: SearchValue]?

  /// A schedule.
  package init(_ space: SearchSpace, seed: UInt64) {
    sampler = CoarseToFine(space, seed: seed)
  }

  /// The next thing to measure; nil when all is done.
  ///
  /// - Parameters:
  ///   - count: trials in all.
  ///   - isClosing: whether no more trials are to be begun, so that what has begun comes to its end.
  package func next(
    after trials: [SearchTrial], count: Int, isClosing: Bool = false
  ) -> Task? {
    tasks(after: trials, count: count, isClosing: isClosing).first
  }

  /// The next things to measure, none of which depends on another's result: up to ``atOnce`` trials, or when
  /// all trials are done repetitions. Empty when all is done.
  ///
  /// - Parameters:
  ///   - count: trials in all.
  ///   - isClosing: whether no more trials are to be begun, so that what has begun comes to its end.
  ///   - repetitionsAtOnce: how many repetitions are wanted, which are the same one by one.
  package func tasks(
    after trials: [SearchTrial], count: Int, isClosing: Bool = false, repetitionsAtOnce: Int = 1
  ) -> [Task] {
    var tasks: [Task] = []
    while !isClosing, tasks.count < atOnce {
      guard
        let task = promotion(trials, beside: tasks)
          ?? (trials.count + newOnes(tasks) < count ? newTrial(trials, beside: tasks) : nil)
      else { break }
      tasks.append(task)
    }
    if tasks.isEmpty { tasks = completions(trials) }
    return tasks.isEmpty ? repetitions(trials, repetitionsAtOnce) : tasks
  }

  private func newOnes(_ tasks: [Task]) -> Int {
    tasks.count {
      if case .trial(_, 0, _) = $0 { return true }
      return false
    }
  }

  private func newTrial(_ trials: [SearchTrial], beside pending: [Task]) -> Task? {
    let id = trials.count + newOnes(pending)
    if id == 0, let start { return .trial(id: 0, rung: 0, parameters: start) }
    let ranked = ranking(trials).map { trial in
      CoarseToFine.Observation(
        point: sampler.space.point(of: trial.parameters), values: trial.parameters)
    }
    let begun = pending.compactMap { task -> [String: SearchValue]? in
      if case .trial(_, 0, let parameters) = task { return parameters }
      return nil
    }
    let point = sampler.point(start == nil ? id : id - 1, ranked: ranked, pending: begun)
    let values = sampler.space.values(at: point)
    // A small space may have been tried to its end.
    let known = trials.map(\.parameters) + begun
    if sampler.space.count != nil, known.contains(values) { return nil }
    return .trial(id: id, rung: 0, parameters: values)
  }

  /// A trial of the best share of its rung that has not gone on.
  private func promotion(_ trials: [SearchTrial], beside pending: [Task]) -> Task? {
    for rung in (0..<max(rungs - 1, 0)).reversed() {
      let there = trials.filter { $0.measurements.count > rung && isAllowed($0) }
      let going = pending.compactMap { task -> Int? in
        if case .trial(let id, rung + 1, _) = task { return id }
        return nil
      }
      // As trials get better every new one is among the best: no more than the share goes on.
      let gone = there.count { $0.measurements.count > rung + 1 } + going.count
      guard gone < there.count / share else { continue }
      let best = there.sorted { isBetter($0, $1, rung: rung) }.prefix(there.count / share)
      let next = best.first {
        $0.measurements.count == rung + 1 && $0.problem == nil && !going.contains($0.id)
      }
      if let next { return .trial(id: next.id, rung: rung + 1, parameters: next.parameters) }
    }
    return nil
  }

  /// Takes the best, and the recipe as it was, to the last rung.
  private func completions(_ trials: [SearchTrial]) -> [Task] {
    let judged = ranking(trials).filter { isAllowed($0) && $0.problem == nil }
    let best = judged.prefix(finalists)
    let wanted =
      best
      + judged.filter { trial in
        start != nil && trial.id == 0 && !best.contains { $0.id == 0 }
      }
    return wanted.filter { $0.measurements.count < rungs }.prefix(atOnce).map {
      .trial(id: $0.id, rung: $0.measurements.count, parameters: $0.parameters)
    }
  }

  private func repetitions(_ trials: [SearchTrial], _ limit: Int) -> [Task] {
    guard repetitions > 0 else { return [] }
    let contenders = contenders(trials)
    let missing = (1...repetitions).flatMap { number in
      contenders.filter {
        $0.repetitions[number] == nil && !$0.failedRepetitions.contains(number)
      }.map { Task.repetition(id: $0.id, number: number, parameters: $0.parameters) }
    }
    return Array(missing.prefix(limit))
  }

  /// The trials that are repeated: the best few of the last rung, and the recipe as it was.
  package func contenders(_ trials: [SearchTrial]) -> [SearchTrial] {
    let complete = trials.filter {
      $0.measurements.count == rungs && isAllowed($0) && $0.problem == nil
    }
    let sorted = complete.sorted { isBetter($0, $1, rung: rungs - 1) }
    // Those that answered alike are one candidate, unless there are no others.
    var seen: Set<[String]> = []
    let first = sorted.filter { seen.insert(likeness($0)).inserted }
    let others = sorted.filter { trial in !first.contains { $0.id == trial.id } }
    let best = (first + others).prefix(finalists)
    return best
      + complete.filter { trial in
        start != nil && trial.id == 0 && !best.contains { $0.id == 0 }
      }
  }

  /// The same for trials with the same words and the same right answers.
  private func likeness(_ trial: SearchTrial) -> [String] {
    let words = sampler.space.parameters.filter(\.domain.isChoice).map {
      trial.parameters[$0.name]?.text ?? ""
    }
    let last = trial.measurements.last
    return words + ["\(last?.accuracy ?? 0)", "\(last?.macroF1 ?? 0)"]
  }

  /// Whether the trial keeps the limits.
  package func isAllowed(_ trial: SearchTrial) -> Bool { excess(of: trial) == 0 }

  private func excess(of trial: SearchTrial) -> Double {
    limits.reduce(0) { sum, limit in
      sum + max((trial.costs[limit.key] ?? 0) / limit.value - 1, 0)
    }
  }

  /// All trials, the best first: those that keep the limits, by the metric at their highest rung, then those that
  /// failed, then the others by what they exceed.
  ///
  /// Rungs are compared by what trials gained or lost on average in going on: another fold may be harder.
  package func ranking(_ trials: [SearchTrial]) -> [SearchTrial] {
    let offsets = (0..<rungs).map { rung -> Double in
      let gains = trials.compactMap { trial -> Double? in
        guard trial.measurements.count > rung else { return nil }
        return merit(trial, rung: rung) - merit(trial, rung: 0)
      }.filter(\.isFinite)
      return gains.isEmpty ? 0 : gains.reduce(0, +) / Double(gains.count)
    }
    func key(_ trial: SearchTrial) -> (Double, Double, Double, Int) {
      guard let rung = trial.rung else { return (excess(of: trial), .infinity, 0, trial.id) }
      return (
        excess(of: trial), offsets[rung] - merit(trial, rung: rung),
        trial.measurements[rung].loss, trial.id
      )
    }
    return trials.sorted { key($0) < key($1) }
  }

  private func isBetter(_ first: SearchTrial, _ second: SearchTrial, rung: Int) -> Bool {
    let (a, b) = (merit(first, rung: rung), merit(second, rung: rung))
    return (-a, first.measurements[rung].loss, first.id)
      < (-b, second.measurements[rung].loss, second.id)
  }

  private func merit(_ trial: SearchTrial, rung: Int) -> Double {
    metric.value(of: trial.measurements[rung]).map(metric.merit) ?? -.infinity
  }
}
