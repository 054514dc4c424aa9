// SPDX-License-Identifier: Apache-2.0

import Testing
import ThawSearch
import ThawTestSupport

/// What is measured next, and who wins.
struct SearchScheduleTests {
  private func measurement(_ accuracy: Double, loss: Double = 1) -> SearchMeasurement {
    SearchMeasurement(count: 10, accuracy: accuracy, loss: loss, macroF1: accuracy)
  }

  private func trial(
    _ id: Int, _ accuracies: [Double], costs: [String: Double] = [:]
  ) -> [SearchEntry] {
    accuracies.enumerated().map { rung, accuracy in
      SearchEntry(
        .trial, id: id, rung: rung,
        parameters: ["x": .number(Double(id) / 100), "y": .number(0.5)],
        measurement: measurement(accuracy), costs: costs)
    }
  }

  private func schedule(rungs: Int = 3) -> SearchSchedule {
    var schedule = SearchSchedule(SyntheticObjective.square, seed: 5)
    schedule.rungs = rungs
    return schedule
  }

  @Test func theBestThirdGoesOn() {
    let entries = trial(0, [0.5]) + trial(1, [0.7]) + trial(2, [0.6])
    let next = schedule().next(after: SearchTrial.all(in: entries), count: 100)
    #expect(next == .trial(id: 1, rung: 1, parameters: ["x": .number(0.01), "y": .number(0.5)]))
    let further = trial(0, [0.5]) + trial(1, [0.7, 0.72]) + trial(2, [0.6])
    guard
      case .trial(let id, let rung, _) = schedule().next(
        after: SearchTrial.all(in: further), count: 100)
    else { Issue.record("nothing to do"); return }
    #expect(id == 3 && rung == 0)
  }

  @Test func losersAreNotFinished() throws {
    let directory = try TemporaryDirectory()
    let (journal, _) = try SearchJournal.open(directory.path.appending("j"), key: "k")
    var schedule = SearchSchedule(SyntheticObjective.space, seed: 1)
    schedule.rungs = 3
    var objective = SyntheticObjective.planted
    objective.rungs = 3
    let trials = try Search(schedule, journal, objective).run(trials: 30)
    let whole = trials.count { $0.measurements.count == 3 }
    #expect(trials.count == 30 && (3...8).contains(whole))
    #expect(trials.count { $0.measurements.count == 1 } >= 16)
    // Three finalists with five seeds each.
    #expect(trials.filter { $0.repetitions.count == 5 }.count == 3)
  }

  @Test func whatCostsTooMuchIsNotTrainedAndDoesNotWin() throws {
    let directory = try TemporaryDirectory()
    let (journal, _) = try SearchJournal.open(directory.path.appending("j"), key: "k")
    var schedule = SearchSchedule(SyntheticObjective.space, seed: 1)
    schedule.limits = ["latency_ms": 1e-4]
    let trials = try Search(schedule, journal, SyntheticObjective.planted).run(trials: 40)
    // The cost is ten times the decay.
    for trial in trials {
      let decay = try #require(trial.parameters["decay"]?.size)
      #expect(trial.measurements.isEmpty == (10 * decay > 1e-4))
    }
    let result = SearchResult(trials, schedule, folds: 0, recipe: "", isComplete: true)
    let best = try #require(result.best)
    #expect(try #require(best.limits["latency_ms"]) <= 1e-4)
    #expect(result.trials.contains { $0.problem == "More than allowed: latency_ms." })
    // What is allowed attracts trials.
    let late = trials.suffix(15).count { !$0.measurements.isEmpty }
    #expect(late >= 8)
  }

  /// A trial that was lucky when it was chosen loses against one that shows it again.
  @Test func repetitionsDecideWhoWins() throws {
    var entries = trial(0, [0.80]) + trial(1, [0.95]) + trial(2, [0.90])
    for number in 1...5 {
      for (id, accuracy) in [(0, 0.80), (1, 0.82), (2, 0.88)] {
        entries.append(
          SearchEntry(
            .repetition, id: id, repetition: number, parameters: [:],
            measurement: measurement(accuracy + 0.001 * Double(number))))
      }
    }
    var schedule = schedule(rungs: 1)
    schedule.start = ["x": .number(0), "y": .number(0.5)]
    let trials = SearchTrial.all(in: entries)
    let result = SearchResult(trials, schedule, folds: 5, recipe: "", isComplete: true)
    let best = try #require(result.best)
    #expect(best.id == 2 && result.finalists.map(\.id) == [2, 1, 0])
    let gain = try #require(best.gain)
    #expect(abs(gain.mean - 0.08) < 1e-9 && gain.upper - gain.lower < 1e-9)
    #expect(schedule.next(after: trials, count: 3) == nil)
  }

  /// One that diverges with other seeds is not judged by the seed with which it did not; and a single
  /// repetition proves nothing.
  @Test func whatDivergesOrWasRepeatedOnceIsNoCertainWinner() throws {
    var entries = trial(0, [0.80]) + trial(1, [0.95]) + trial(2, [0.90])
    for (id, accuracy) in [(0, 0.80), (1, 0.99), (2, 0.88)] {
      entries.append(
        SearchEntry(
          .repetition, id: id, repetition: 1, parameters: [:], measurement: measurement(accuracy)))
    }
    var failed = SearchEntry(.repetition, id: 1, repetition: 2, parameters: [:])
    failed.problem = "It diverged."
    entries.append(failed)
    var schedule = schedule(rungs: 1)
    schedule.start = ["x": .number(0), "y": .number(0.5)]
    let result = SearchResult(
      SearchTrial.all(in: entries), schedule, folds: 5, recipe: "", isComplete: true)
    #expect(result.best?.id == 2 && result.finalists.map(\.id) == [2, 0])
    #expect(result.remarks.contains { $0.contains("may as well be chance") })
  }

  @Test func trialsThatAnsweredAlikeAreOneFinalist() {
    var schedule = schedule(rungs: 1)
    (schedule.finalists, schedule.repetitions) = (2, 1)
    let alike = SearchTrial.all(in: trial(0, [0.9]) + trial(1, [0.9]) + trial(2, [0.8]))
    #expect(schedule.contenders(alike).map(\.id) == [0, 2])
    // Where there are no others they are finalists all the same.
    #expect(schedule.contenders(Array(alike.prefix(2))).map(\.id) == [0, 1])
  }

  @Test func aDifferenceThatMayBeChanceIsCalledSo() throws {
    var entries = trial(0, [0.80]) + trial(1, [0.83])
    for (number, gap) in [0.05, -0.03, 0.04, -0.04, 0.02].enumerated() {
      entries.append(
        SearchEntry(
          .repetition, id: 0, repetition: number + 1, parameters: [:], measurement: measurement(0.8)
        ))
      entries.append(
        SearchEntry(
          .repetition, id: 1, repetition: number + 1, parameters: [:],
          measurement: measurement(0.8 + gap)))
    }
    var schedule = schedule(rungs: 1)
    schedule.start = ["x": .number(0), "y": .number(0.5)]
    let result = SearchResult(
      SearchTrial.all(in: entries), schedule, folds: 5, recipe: "", isComplete: true)
    #expect(result.best?.id == 1)
    #expect(result.remarks.contains { $0.contains("cannot be told apart") })
  }

  @Test func rungsAreComparedByWhatGoingOnChangesOnAverage() {
    // Going on costs 0.1 on average, so 0.75 after the second rung is worth more than 0.8 after the first.
    let entries = trial(0, [0.85, 0.75]) + trial(1, [0.84, 0.74]) + trial(2, [0.8])
    let order = schedule().ranking(SearchTrial.all(in: entries)).map(\.id)
    #expect(order == [0, 1, 2])
  }

  @Test func timeIsKeptForTheFinalists() throws {
    let directory = try TemporaryDirectory()
    let (journal, _) = try SearchJournal.open(directory.path.appending("j"), key: "k")
    var schedule = SearchSchedule(SyntheticObjective.space, seed: 1)
    schedule.repetitions = 2
    let clock = Clock()
    var objective = SyntheticObjective.planted
    objective.onMeasure = { clock.now += 1 }
    var search = Search(schedule, journal, objective)
    search.clock = { clock.now }
    let trials = try search.run(trials: 1000, seconds: 60)
    #expect(clock.now <= 61 && trials.count > 40)
    #expect(trials.count { $0.repetitions.count == 2 } == 3)
  }

  /// The first trial computes features for a minute, which no finalist has to.
  @Test func timeForFeaturesIsNotKeptForTheFinalists() throws {
    let directory = try TemporaryDirectory()
    let (journal, _) = try SearchJournal.open(directory.path.appending("j"), key: "k")
    var schedule = SearchSchedule(SyntheticObjective.space, seed: 1)
    schedule.repetitions = 2
    let clock = Clock()
    let objective = Preparing(objective: .planted)
    objective.onMeasure = { clock.now += $0 }
    var search = Search(schedule, journal, objective)
    search.clock = { clock.now }
    let trials = try search.run(trials: 1000, seconds: 120)
    #expect(clock.now <= 121 && trials.count > 40)
    #expect(trials.count { $0.repetitions.count == 2 } == 3)
    let again = try SearchJournal.open(directory.path.appending("j"), key: "k").0
    #expect(again.entries.first?.preparation == 60 && again.entries.last?.preparation == nil)
  }

  /// Takes a minute for the first measurement and a second for each.
  private final class Preparing: SearchObjective, @unchecked Sendable {
    let objective: SyntheticObjective
    var onMeasure: (Double) -> Void = { _ in }
    private(set) var preparation = 60.0
    private var isPrepared = false
    var rungs: Int { objective.rungs }

    init(objective: SyntheticObjective) { self.objective = objective }

    func costs(of parameters: [String: SearchValue]) -> [String: Double] {
      objective.costs(of: parameters)
    }

    func measure(_ request: SearchRequest, part: Int) throws -> SearchMeasurement? {
      preparation = isPrepared ? 0 : 60
      isPrepared = true
      onMeasure(1 + preparation)
      return try objective.measure(request, part: part)
    }
  }

  private final class Clock: @unchecked Sendable { var now = 0.0 }
}
