// SPDX-License-Identifier: Apache-2.0

import SystemPackage
import Testing
import ThawFiles
import ThawSearch
import ThawTestSupport

/// A search that is killed goes on to the same end.
struct SearchJournalTests {
  private struct Stopped: Error {}

  private func schedule(rungs: Int = 2) -> SearchSchedule {
    var schedule = SearchSchedule(SyntheticObjective.square, seed: 5)
    (schedule.rungs, schedule.finalists, schedule.repetitions) = (rungs, 1, 1)
    return schedule
  }

  /// Everything but the time.
  private func search(
    _ path: FilePath, trials: Int, schedule: SearchSchedule? = nil
  ) throws -> [SearchEntry] {
    let schedule = schedule ?? self.schedule()
    var objective = SyntheticObjective.branin
    objective.rungs = schedule.rungs
    let (journal, _) = try SearchJournal.open(path, key: "k")
    _ = try Search(schedule, journal, objective).run(trials: trials)
    return try SearchJournal.open(path, key: "k").0.entries.map(\.untimed)
  }

  @Test func cutAtEveryByteItEndsTheSame() throws {
    let directory = try TemporaryDirectory()
    let (whole, cut) = (directory.path.appending("whole"), directory.path.appending("cut"))
    let expected = try search(whole, trials: 4)
    let bytes = try FileSystem.read(whole)
    #expect(expected.count >= 6)
    for length in 0..<bytes.count {
      try AtomicFile.write(cut, bytes: Array(bytes[..<length]))
      #expect(try search(cut, trials: 4) == expected, "cut at \(length) of \(bytes.count)")
    }
  }

  @Test func aDamagedByteAnywhereIsNoticed() throws {
    let directory = try TemporaryDirectory()
    let (whole, damaged) = (directory.path.appending("whole"), directory.path.appending("damaged"))
    let expected = try search(whole, trials: 4)
    let bytes = try FileSystem.read(whole)
    for place in stride(from: 0, to: bytes.count, by: 13) {
      var copy = bytes
      copy[place] ^= 4
      try AtomicFile.write(damaged, bytes: copy)
      #expect(try search(damaged, trials: 4) == expected, "byte \(place)")
    }
  }

  /// Also where trials are placed by those before them.
  @Test func anInterruptedSearchAndAnExtendedOneEndAlike() throws {
    let directory = try TemporaryDirectory()
    let expected = try search(directory.path.appending("once"), trials: 24)
    let path = directory.path.appending("often")
    for stop in [3, 11, 20] {
      let (journal, _) = try SearchJournal.open(path, key: "k")
      var objective = SyntheticObjective.branin
      objective.rungs = 2
      #expect(throws: Stopped.self) {
        _ = try Search(schedule(), journal, objective).run(trials: 24) { _, _ in
          if journal.entries.count >= stop { throw Stopped() }
        }
      }
    }
    #expect(try search(path, trials: 24) == expected)
    // Asked for more later: the same trials, whatever came between.
    let extended = directory.path.appending("extended")
    _ = try search(extended, trials: 10)
    let trials = { (entries: [SearchEntry]) in
      SearchTrial.all(in: entries).map(\.parameters)
    }
    #expect(trials(try search(extended, trials: 24)).count == 24)
    #expect(
      Array(trials(try search(extended, trials: 24)).prefix(10))
        == Array(trials(expected).prefix(10)))
  }

  @Test func anotherSearchIsPutAside() throws {
    let directory = try TemporaryDirectory()
    let path = directory.path.appending("journal")
    _ = try search(path, trials: 3)
    let old = try FileSystem.read(path)
    let (journal, former) = try SearchJournal.open(path, key: "another")
    #expect(journal.entries.isEmpty)
    #expect(try FileSystem.read(try #require(former)) == old)
    // Neither that one nor one whose first line is damaged is lost.
    _ = try SearchJournal.open(path, key: "third")
    #expect(try FileSystem.read(try #require(former)) == old)
    var damaged = old
    damaged[3] ^= 1
    try AtomicFile.write(path, bytes: damaged)
    let (_, kept) = try SearchJournal.open(path, key: "k")
    #expect(try FileSystem.read(try #require(kept)) == damaged)
  }
}

extension SearchEntry {
  var untimed: SearchEntry {
    var copy = self
    copy.seconds = 0
    return copy
  }
}
