// SPDX-License-Identifier: Apache-2.0

import Glibc
import Synchronization
import SystemPackage
import Testing
import ThawConsole
import ThawFiles
import ThawRankThreads
import ThawRanks
import ThawSearch
import ThawTestSupport

/// Trials that are handed out to ranks: the same search, whoever measures.
struct SearchRanksTests {
  /// Branin's function in folds: the more thorough, the more of them.
  private struct Folded: SearchObjective {
    let rungs = 3
    /// Called before each part.
    var onPart: @Sendable () throws -> Void = {}

    func costs(of parameters: [String: SearchValue]) -> [String: Double] { ["latency_ms": 1] }

    func parts(of request: SearchRequest) -> Int {
      request.repetition > 0 ? 5 : [1, 2, 2][request.rung]
    }

    func measure(_ request: SearchRequest, part: Int) throws -> SearchMeasurement? {
      try onPart()
      let x = request.parameters["x"]?.size ?? 0
      if x > 0.93, part == 1 { throw SearchFailure("The second fold diverged.") }
      let regret = SyntheticObjective.branin.regret(request.parameters)
      let place = request.rung * 31 + request.repetition * 7919 + part * 101
      let loss = regret + 0.01 * Double(place % 17) + 1 / 3.0
      return SearchMeasurement(
        count: 7 + part, accuracy: 1 / (1 + loss), loss: loss, macroF1: 1 / (1 + loss))
    }

    func joined(
      _ parts: [SearchMeasurement?], of request: SearchRequest
    ) throws -> SearchMeasurement {
      let all = request.earlier + parts.compactMap(\.self)
      // In an order that is told apart from any other by the last bits.
      let loss = all.reduce(0.1) { $0 / 3 + $1.loss }
      return SearchMeasurement(
        count: all.count, accuracy: 1 / (1 + loss), loss: loss, macroF1: 1 / (1 + loss))
    }
  }

  private static func search(
    _ path: FilePath, atOnce: Int, ranks: RankGroup? = nil, in directory: FilePath? = nil,
    _ objective: Folded = Folded()
  ) throws -> [SearchEntry] {
    var schedule = SearchSchedule(SyntheticObjective.square, seed: 5)
    (schedule.rungs, schedule.finalists, schedule.repetitions) = (3, 2, 3)
    schedule.atOnce = atOnce
    let (journal, _) = try SearchJournal.open(path, key: "k")
    var search = Search(schedule, journal, objective)
    if let ranks, let directory { search.crew = SearchCrew(ranks, in: directory) }
    _ = try search.run(trials: 30)
    try search.crew?.dismiss()
    return journal.entries.map(\.untimed)
  }

  /// Goes through a job as a rank: rank 0 searches, the others follow.
  private static func work(
    _ ranks: RankGroup, _ path: FilePath, _ directory: FilePath, atOnce: Int,
    _ objective: Folded = Folded()
  ) throws -> [SearchEntry] {
    if ranks.isLeader {
      try ranks.begin(
        .work(
          RankJob(
            kind: .search, run: directory.string, recipe: "", threads: 1, engine: "none",
            pretrained: nil)))
      defer { ranks.endJob() }
      return try search(path, atOnce: atOnce, ranks: ranks, in: directory, objective)
    }
    _ = try ranks.nextOrder()
    defer { ranks.endJob() }
    try SearchCrew(ranks, in: directory).follow(objective)
    return []
  }

  @Test(arguments: [1, 4])
  func anyNumberOfRanksWritesTheSameJournal(atOnce: Int) throws {
    let directory = try TemporaryDirectory()
    let expected = try SearchRanksTests.search(directory.path.appending("one"), atOnce: atOnce)
    #expect(expected.contains { $0.problem == "The second fold diverged." })
    #expect(expected.contains { $0.kind == .repetition })
    for count in [2, 3] {
      let run = directory.path.appending("run\(count)")
      try FileSystem.createDirectory(run)
      let path = run.appending("journal")
      let parts = Mutex([Int](repeating: 0, count: count))
      let found = try asRanks(count) { ranks in
        var objective = Folded()
        objective.onPart = {
          parts.withLock { $0[ranks.rank] += 1 }
          // On one processor the first would have measured all before the next one runs.
          usleep(500)
        }
        return try SearchRanksTests.work(ranks, path, run, atOnce: atOnce, objective)
      }
      #expect(found[0] == expected, "\(count) ranks")
      // All had their share, and what was claimed is forgotten.
      #expect(parts.withLock { $0.allSatisfy { $0 > 0 } }, "\(count) ranks")
      let left = try FileSystem.list(run.appending("ranks")).map(\.string)
      #expect(!left.contains { $0.hasPrefix("claims") }, "\(left)")
    }
  }

  /// Alone and with others: what a round knew is in the journal.
  @Test func cutAtEveryLineItEndsTheSame() throws {
    let directory = try TemporaryDirectory()
    let whole = directory.path.appending("whole")
    let expected = try SearchRanksTests.search(whole, atOnce: 4)
    let lines = try FileSystem.read(whole).split(separator: 0x0A)
    for count in 1..<lines.count {
      let run = directory.path.appending("run\(count)")
      try FileSystem.createDirectory(run)
      let path = run.appending("journal")
      try AtomicFile.write(path, bytes: Array(lines[..<count].joined(separator: [0x0A])) + [0x0A])
      guard count % 3 == 0 else {
        #expect(try SearchRanksTests.search(path, atOnce: 4) == expected, "\(count) lines")
        continue
      }
      let found = try asRanks(2) { try SearchRanksTests.work($0, path, run, atOnce: 4) }
      #expect(found[0] == expected, "\(count) lines, two ranks")
    }
  }

  /// Which trials there are depends on how many are decided on together, and only on that.
  @Test func trialsThatAreDecidedOnTogetherAreOthers() throws {
    let directory = try TemporaryDirectory()
    let one = try SearchRanksTests.search(directory.path.appending("one"), atOnce: 1)
    let four = try SearchRanksTests.search(directory.path.appending("four"), atOnce: 4)
    func trials(_ entries: [SearchEntry]) -> [[String: SearchValue]] {
      SearchTrial.all(in: entries).map(\.parameters)
    }
    #expect(trials(one).count == 30 && trials(four).count == 30)
    // Those that are spread over the space are the same ones.
    #expect(trials(one)[..<6] == trials(four)[..<6])
    #expect(trials(one) != trials(four))
    #expect(Set(trials(four)).count == 30)
    #expect(one.allSatisfy { $0.known == nil })
  }

  @Test func whenOneRankIsStoppedAllStopAndNothingIsLost() throws {
    let directory = try TemporaryDirectory()
    let expected = try SearchRanksTests.search(directory.path.appending("one"), atOnce: 4)
    for stopped in [0, 2] {
      let run = directory.path.appending("run\(stopped)")
      try FileSystem.createDirectory(run)
      let path = run.appending("journal")
      let outcomes = try asRanks(3) { ranks in
        var objective = Folded()
        objective.onPart = {
          let lines = try FileSystem.exists(path) ? FileSystem.read(path).count { $0 == 0x0A } : 0
          if lines > 8 {
            if ranks.rank == stopped { throw PipelineError.interrupted }
            // Whoever is quick leaves the others nothing to measure, and so to stop in.
            usleep(5000)
          }
          if try ranks.isStopAsked() { throw PipelineError.interrupted }
        }
        do {
          _ = try SearchRanksTests.work(ranks, path, run, atOnce: 4, objective)
          return "done"
        } catch PipelineError.interrupted { return "stopped" }
      }
      #expect(outcomes == ["stopped", "stopped", "stopped"])
      let kept = try SearchJournal.open(path, key: "k").0.entries.count
      #expect(kept > 4 && kept < expected.count)
      #expect(try SearchRanksTests.search(path, atOnce: 4) == expected)
    }
  }
}
