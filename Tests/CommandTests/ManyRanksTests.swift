// SPDX-License-Identifier: Apache-2.0

import Foundation
import SystemPackage
import Testing
import ThawFiles

/// The command under `mpirun`, all ranks on this machine. `make mpi-test` runs these alone.
///
/// Skipped, by name, where Open MPI or the plugin (`make setup-mpi`) is not installed.
@Suite(
  .serialized,
  .enabled(
    if: MPI.isHere, "no mpirun of Open MPI, or no libthaw-mpi.so beside thaw: run make setup-mpi"))
struct ManyRanksTests {
  /// A head trained on one rank, without and with shards, and a fine-tuned network of four shards.
  private static let alone = Result { () throws -> Workspace in
    let workspace = try Workspace(count: 20)
    try AtomicFile.write(
      workspace.file("recipe.yml"),
      text: """
        backbone: tiny
        train:
          batch: 8
        fine_tune:
          batch: 8
          freeze_to: -2
          augmentation: photo
        """)
    try workspace.start(ManyRanksTests.fit("alone", shards: 4)).wait().succeeded()
    return workspace
  }

  private static func fit(_ run: String, shards: Int, epochs: String = "head:20,fine-tune:4")
    -> [String]
  {
    ["fit", "photos", "--run", run, "--recipe", "recipe.yml", "--epochs", epochs]
      + ["--valid", "0.3", "--threads", "1", "--shards", "\(shards)"]
  }

  private func models(_ workspace: Workspace, _ run: String) throws -> [[UInt8]] {
    try ["checkpoints/head.safetensors", "model.safetensors"].map {
      try workspace.read("\(run)/\($0)")
    }
  }

  @Test(arguments: [2, 3, 4, 8])
  func headAndFineTuningHaveTheBitsOfOneRank(ranks: Int) throws {
    let workspace = try ManyRanksTests.alone.get()
    let run = "on\(ranks)"
    let outcome = try workspace.mpi(ranks, ManyRanksTests.fit(run, shards: 4)).wait()
    outcome.succeeded()
    #expect(try models(workspace, run) == models(workspace, "alone"))
    // Rank 0 speaks; the others have logs.
    #expect(outcome.stdout.split(separator: "\n").filter { $0.hasPrefix("Model: ") }.count == 1)
    for rank in 1..<ranks {
      let log = try workspace.text("\(run)/ranks/\(rank).log")
      #expect(log.contains("rank \(rank) ("), "\(log)")
    }
    let left = try FileSystem.list(workspace.file(run)).map(\.string)
    #expect(!left.contains(".lease"))
    let ranksLeft = try FileSystem.list(workspace.file("\(run)/ranks")).map(\.string)
    #expect(
      !ranksLeft.contains { $0.hasPrefix("claims") || $0.hasSuffix(".alive") }, "\(ranksLeft)")
  }

  @Test func featuresThatOtherRanksComputedAreUsedByAnyNumber() throws {
    let workspace = try ManyRanksTests.alone.get()
    let prepare =
      ["prepare", "photos", "--run", "cached", "--backbone", "tiny", "--valid", "0.3"]
    try workspace.start(prepare).wait().succeeded()
    let cache = ["cache", "--run", "cached", "--json"]
    let three = try workspace.mpi(3, cache).wait().json()
    #expect(three["computed"].int == 40)
    for ranks in [1, 2, 4] {
      let again = try ranks == 1 ? workspace.start(cache) : workspace.mpi(ranks, cache)
      #expect(try again.wait().json()["computed"].int == 0, "\(ranks) ranks")
    }
    let key = try FileSystem.list(workspace.file("cached/cache/features"))[0].string
    let files = try FileSystem.list(workspace.file("cached/cache/features/\(key)")).map(\.string)
    #expect(Set(["rows", "rows.1", "rows.2"]).isSubset(of: files), "\(files)")
  }

  @Test func aRankThatIsKilledEndsTheJobAndAnotherNumberContinuesToTheSameBits() throws {
    let workspace = try ManyRanksTests.alone.get()
    let long = ManyRanksTests.fit("killed", shards: 4, epochs: "head:20,fine-tune:30")
    let whole = ManyRanksTests.fit("whole", shards: 4, epochs: "head:20,fine-tune:30")
    try workspace.start(whole).wait().succeeded()
    for (ranks, victim) in [(3, 2), (2, 0), (4, 1)] {
      let process = try workspace.mpi(ranks, long)
      let checkpoint = workspace.file("killed/checkpoints/trainer.safetensors")
      let before = try? FileStatus(of: checkpoint)
      _ = process.wait { process.stderr.contains("Fine-tuning the backbone") }
      #expect(process.wait { (try? FileStatus(of: checkpoint)) != before })
      guard let target = try rank(victim, of: "killed", in: workspace) else { continue }
      let clock = ContinuousClock.now
      kill(target, SIGKILL)
      let outcome = process.wait()
      #expect(outcome.status != 0)
      #expect(clock.duration(to: .now) < .seconds(15))
      // Open MPI's own words: the rank, its host and the signal.
      #expect(outcome.stderr.contains("rank \(victim)") && outcome.stderr.contains("signal 9"))
    }
    try workspace.mpi(2, long).wait().succeeded()
    #expect(try models(workspace, "killed") == models(workspace, "whole"))
  }

  @Test func aRankThatIsStoppedIsNamed() throws {
    let workspace = try ManyRanksTests.alone.get()
    let process = try workspace.mpi(
      3, ManyRanksTests.fit("stalled", shards: 4, epochs: "head:20,fine-tune:500"),
      environment: ["THAW_STALL_SECONDS": "2"])
    let checkpoint = workspace.file("stalled/checkpoints/trainer.safetensors")
    #expect(process.wait { process.stderr.contains("Fine-tuning the backbone") })
    #expect(process.wait { FileSystem.exists(checkpoint) })
    let target = try #require(try rank(2, of: "stalled", in: workspace))
    kill(target, SIGSTOP)
    let outcome = process.wait()
    #expect(outcome.status != 0)
    #expect(outcome.stderr.contains("rank 2 ("))
    #expect(outcome.stderr.contains("has given no sign of life for "), "\(outcome.stderr)")
  }

  @Test func aSignalToOneRankStopsAllWithACheckpoint() throws {
    let workspace = try ManyRanksTests.alone.get()
    let long = ManyRanksTests.fit("signalled", shards: 4, epochs: "head:20,fine-tune:500")
    let process = try workspace.mpi(3, long)
    let checkpoint = workspace.file("signalled/checkpoints/trainer.safetensors")
    #expect(process.wait { process.stderr.contains("Fine-tuning the backbone") })
    #expect(process.wait { FileSystem.exists(checkpoint) })
    let target = try #require(try rank(1, of: "signalled", in: workspace))
    kill(target, SIGTERM)
    let outcome = process.wait()
    #expect(outcome.status == 130, "\(outcome.stderr)")
    #expect(
      outcome.errors.first?.hasPrefix("error: interrupted. Give the same command again") == true)
  }

  @Test func aSecondJobIsRefused() throws {
    let workspace = try ManyRanksTests.alone.get()
    let process = try workspace.mpi(
      2, ManyRanksTests.fit("busy", shards: 4, epochs: "head:20,fine-tune:500"))
    #expect(process.wait { process.stderr.contains("Fine-tuning the backbone") })
    let second = try workspace.mpi(2, ["train", "--run", "busy"]).wait()
    #expect(second.status == 75, "\(second.stderr)")
    #expect(second.errors.count == 1 && second.stderr.contains("busy: in use by process "))
    // Not the launcher: it inherits the signals that the tests' threads block.
    kill(try #require(try rank(1, of: "busy", in: workspace)), SIGTERM)
    #expect(process.wait().status == 130)
  }

  @Test func whatCannotBeSpreadIsRefused() throws {
    let workspace = try ManyRanksTests.alone.get()
    let evaluate = try workspace.mpi(2, ["evaluate", "--run", "alone"]).wait()
    #expect(evaluate.status == 64)
    #expect(evaluate.stderr.contains("this command does not spread over 2 ranks"))
    let norm = try workspace.start(
      ["fine-tune", "--run", "alone", "--shards", "2", "--trainable-batch-norm", "training"]
    ).wait()
    #expect(norm.status == 65 || norm.status == 64)
    #expect(norm.stderr.contains("normalises by the statistics of the batch"), "\(norm.stderr)")
  }

  /// The process of a rank, by what its log or its lease says.
  private func rank(_ rank: Int, of run: String, in workspace: Workspace) throws -> Int32? {
    if rank == 0 {
      let lease = try workspace.text("\(run)/.lease").split(separator: " ")
      return lease.count > 1 ? Int32(lease[1]) : nil
    }
    let log = try workspace.text("\(run)/ranks/\(rank).log")
    let line = log.split(separator: "\n").last { $0.contains("process ") }
    let digits = line?.split(separator: "process ").last?.prefix { $0.isNumber }
    return digits.flatMap { Int32($0) }
  }
}

/// Open MPI on this machine.
private enum MPI {
  static let isHere: Bool = {
    let plugin = ThawProcess.program.removingLastComponent().appending("libthaw-mpi.so")
    return FileSystem.exists(plugin) && FileSystem.exists("/usr/bin/mpirun")
  }()
}

extension Workspace {
  /// Starts the command on several ranks, more than there are cores if need be.
  fileprivate func mpi(
    _ ranks: Int, _ arguments: [String], environment: [String: String] = [:]
  ) throws -> ThawProcess {
    let settings = environment.map { "export \($0.key)=\($0.value); " }.joined()
    return try start(
      arguments,
      shell:
        "export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1; \(settings)exec mpirun"
        + " --oversubscribe --bind-to none --mca btl_vader_single_copy_mechanism none -n \(ranks) \"$@\""
    )
  }
}
