// SPDX-License-Identifier: Apache-2.0

import Foundation
import SystemPackage
import Testing
import ThawFiles
import ThawRankThreads
import ThawRanks
import ThawTestSupport

@Suite struct RankGroupTests {
  @Test(arguments: [
    (["OMPI_COMM_WORLD_RANK": "2", "OMPI_COMM_WORLD_SIZE": "4"], "mpirun (Open MPI)"),
    (["PMI_RANK": "2", "PMI_SIZE": "4"], "mpiexec (MPICH)"),
    (["SLURM_PROCID": "2", "SLURM_STEP_NUM_TASKS": "4"], "srun"),
  ])
  func launchersAreRecognised(environment: [String: String], name: String) throws {
    let launch = try #require(try RankLaunch(environment))
    #expect(launch.launcher == name)
    #expect(launch.rank == 2 && launch.count == 4 && launch.stallSeconds == 60)
  }

  @Test(arguments: [
    [:], ["OMPI_COMM_WORLD_RANK": "0", "OMPI_COMM_WORLD_SIZE": "1"],
    // A batch script that has not called srun.
    ["SLURM_PROCID": "0", "SLURM_NTASKS": "4"],
    ["OMPI_COMM_WORLD_RANK": "0", "OMPI_COMM_WORLD_SIZE": "4", "THAW_RANKS": "off"],
  ])
  func aProcessOnItsOwnIsAlone(environment: [String: String]) throws {
    #expect(try RankLaunch(environment) == nil)
  }

  @Test func impossibleSettingsAreNamed() throws {
    let job = ["PMI_RANK": "0", "PMI_SIZE": "2"]
    for (key, value) in [("THAW_RANKS", "maybe"), ("THAW_STALL_SECONDS", "soon")] {
      let error = #expect(throws: RankError.self) {
        _ = try RankLaunch(job.merging([key: value]) { $1 })
      }
      #expect(error?.description.contains("\(key) is '\(value)'") == true)
    }
  }

  @Test func everybodyGetsEverybodysValues() throws {
    let all = try asRanks(4) { try $0.gather("value \($0.rank)") }
    #expect(all == Array(repeating: (0..<4).map { "value \($0)" }, count: 4))
  }

  @Test func partsAreSharedInPlace() throws {
    // Rank 1 has none, and the others more than a message holds.
    let ranges = [0..<1_100_000, 1_100_000..<1_100_000, 1_100_000..<2_000_003]
    let all = try asRanks(3) { group in
      var values = [Float](repeating: -1, count: ranges[2].upperBound)
      for index in ranges[group.rank] { values[index] = Float(index) }
      try values.withUnsafeMutableBufferPointer { try group.share($0, ranges: ranges) }
      return values.indices.allSatisfy { values[$0] == Float($0) }
    }
    #expect(all == [true, true, true])
  }

  @Test func anotherBuildIsRefusedByNameOnEveryRank() throws {
    let builds = [["build": "a"], ["build": "a"], ["build": "b"]]
    let error = #expect(throws: RankError.self) { _ = try asRanks(3, builds: builds) { $0.rank } }
    #expect(
      error?.description
        == "rank 2 (host2): has another build (b) than rank 0 (host0) (a). Install the same thaw on every host."
    )
  }

  /// Ranks 0 and 1 wait for rank 2, which shows no sign of life: both name it and nobody else.
  @Test func aRankWithoutASignOfLifeIsNamed() throws {
    let directory = try TemporaryDirectory()
    let job = RankJob(
      kind: .cache, run: directory.path.string, recipe: "", threads: 1, engine: "", pretrained: nil)
    let texts = try asRanks(3, stallSeconds: 1.5) { group -> String in
      if group.isLeader {
        try group.begin(.work(job))
      } else {
        #expect(try group.nextOrder() == .work(job))
      }
      if group.rank == 2 {
        // A process that is stopped stops counting; a thread cannot be, so its beat ends.
        group.leave(0)
        let sign = RankGroup.folder(of: directory.path).appending(".2.alive")
        try AtomicFile.write(sign, text: "host2 000000000001\n")
        return ""
      }
      do { try group.meet() } catch { return "\(error)" }
      return "all came"
    }
    for text in texts.prefix(2) {
      #expect(text.hasPrefix("rank 2 (host2) has given no sign of life for "), "\(text)")
    }
  }

  @Test func oneThatIsAskedToStopStopsAll() throws {
    let directory = try TemporaryDirectory()
    let job = RankJob(
      kind: .cache, run: directory.path.string, recipe: "", threads: 1, engine: "", pretrained: nil)
    let all = try asRanks(3) { group -> [Bool] in
      if group.isLeader { try group.begin(.work(job)) } else { _ = try group.nextOrder() }
      let first = try group.agreeToStop()
      if group.rank == 1 {
        try group.askToStop()
      } else {
        while try !group.isStopAsked() { usleep(1000) }
      }
      let second = try group.agreeToStop()
      return [first, second, try group.agreeToStop()]
    }
    #expect(all == Array(repeating: [false, true, false], count: 3))
  }

  @Test func pieceOrdersBeginWithOnesOwnAndEndWithTheOthers() throws {
    #expect(PieceClaims.order(pieces: 7, rank: 1, of: 3) == [1, 4, 6, 5, 3, 2, 0])
    let directory = try TemporaryDirectory()
    let claims = PieceClaims(directory.path)
    let taken = try asRanks(4) { group in
      try PieceClaims.order(pieces: 50, rank: group.rank, of: 4).filter { try claims.claim($0) }
    }
    #expect(taken.joined().sorted() == Array(0..<50))
  }

  @Test func threadsAreSharedByTheRanksOfAMachine() throws {
    // All of these have a machine of their own by name.
    #expect(try asRanks(2) { $0.threads(allowed: 8) } == [8, 8])
    #expect(RankGroup.alone.threads(allowed: 8) == 8)
  }
}
