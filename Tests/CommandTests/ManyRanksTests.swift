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

  private static func fit(
    _ run: String, shards: Int, epochs: String = "head:20,fine-tune:4",
    recipe: String = "recipe.yml"
  ) -> [String] {
    ["fit", "photos", "--run", run, "--recipe", recipe, "--epochs", epochs]
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

  /// `THAW_KILLS=20` kills as often, a random rank of a random number of them.
  @Test func aRankThatIsKilledEndsTheJobAndAnotherNumberContinuesToTheSameBits() throws {
    let workspace = try ManyRanksTests.alone.get()
    let asked = ProcessInfo.processInfo.environment["THAW_KILLS"].flatMap { Int($0) }
    let epochs = "head:20,fine-tune:\(asked.map { 25 * $0 } ?? 30)"
    let long = ManyRanksTests.fit("killed", shards: 4, epochs: epochs)
    let whole = ManyRanksTests.fit("whole", shards: 4, epochs: epochs)
    try workspace.start(whole).wait().succeeded()
    let kills: [(ranks: Int, victim: Int)] =
      asked.map { count in
        (0..<count).map { _ in
          let ranks = Int.random(in: 2...4)
          return (ranks, Int.random(in: 0..<ranks))
        }
      } ?? [(3, 2), (2, 0), (4, 1)]
    for (ranks, victim) in kills {
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

  /// Statistics of the whole batch, of which each rank has a part; the photos are checked by all as well.
  @Test func batchNormsInTrainingModeHaveTheBitsOfOneRank() throws {
    let workspace = try ManyRanksTests.alone.get()
    let norms = ["trainable_batch_norm: training", "accumulation: 2"]
    let recipe = try workspace.text("recipe.yml") + norms.map { "\n  \($0)" }.joined()
    try AtomicFile.write(workspace.file("norms.yml"), text: recipe)
    func fit(_ run: String) -> [String] {
      ManyRanksTests.fit(run, shards: 4, epochs: "head:20,fine-tune:3", recipe: "norms.yml")
    }
    try workspace.start(fit("norms")).wait().succeeded()
    #expect(try models(workspace, "norms")[1] != models(workspace, "alone")[1])
    for ranks in [2, 3, 4, 8] {
      try workspace.mpi(ranks, fit("norms\(ranks)")).wait().succeeded()
      #expect(
        try models(workspace, "norms\(ranks)") == models(workspace, "norms"), "\(ranks) ranks")
    }
  }

  @Test func photosAreCheckedByAllAndFoundAsByOne() throws {
    let workspace = try Workspace(count: 40)
    try AtomicFile.write(workspace.file("photos/blue/torn.png"), bytes: [1, 2, 3])
    let prepare =
      ["prepare", "photos", "--backbone", "tiny", "--valid", "0.3", "--on-bad-image", "skip"]
    try workspace.start(prepare + ["--run", "one"]).wait().succeeded()
    for ranks in [2, 3] {
      let run = "checked\(ranks)"
      try workspace.mpi(ranks, prepare + ["--run", run]).wait().succeeded()
      for file in ["manifest.json", "bad_files.tsv"] {
        #expect(try workspace.read("\(run)/\(file)") == workspace.read("one/\(file)"))
      }
      let left = try FileSystem.list(workspace.file("\(run)/cache")).map(\.string)
      #expect(left.filter { $0.hasPrefix("verified") } == ["verified"], "\(left)")
      let lines = try workspace.text("\(run)/cache/verified").split(separator: "\n").count
      #expect(lines == 82)
      // The others were there.
      #expect(try workspace.text("\(run)/ranks/1.log").contains(": verify"))
    }
  }

  @Test func evaluatingGivesTheNumbersOfOneRank() throws {
    let workspace = try Workspace(count: 30)
    let fit =
      ["fit", "photos", "--backbone", "tiny", "--epochs", "20", "--no-fine-tune", "--valid", "0.4"]
      + ["--threads", "1", "--run", "judged"]
    try workspace.start(fit).wait().succeeded()
    let evaluate = ["evaluate", "--run", "judged", "--tta", "4", "--threads", "1", "--json"]
    let alone = try workspace.start(evaluate).wait()
    alone.succeeded()
    let predictions = try workspace.read("judged/predictions.csv")
    try FileManager.default.removeItem(atPath: workspace.file("judged/cache/features").string)
    let together = try workspace.mpi(2, evaluate).wait()
    together.succeeded()
    #expect(together.stdout == alone.stdout)
    #expect(try workspace.read("judged/predictions.csv") == predictions)
    let key = try FileSystem.list(workspace.file("judged/cache/features"))[0].string
    let files = try FileSystem.list(workspace.file("judged/cache/features/\(key)")).map(\.string)
    #expect(files.contains("rows.1"), "\(files)")
  }

  /// What was tried and what came of it, without times.
  private func trials(_ outcome: Outcome) throws -> [String] {
    let result = try outcome.json()
    func text(_ value: JSON, _ names: [String]) -> String {
      names.map { "\($0)=\(value[$0].value ?? "")" }.joined(separator: " ")
    }
    return result["trials"].array.map { trial in
      let parameters = trial["parameters"]
      return text(trial, ["id", "metric", "rungs"]) + " " + text(parameters, parameters.keys)
    }
      + result["finalists"].array.map { finalist in
        text(finalist, ["id"]) + " " + text(finalist["repeated"], ["mean", "lower", "upper"])
      } + ["best " + text(result["best"], ["id"]) + text(result["best"]["test"], ["loss"])]
  }

  /// Also when one of them is killed and another number goes on.
  @Test func aSearchFindsOnRanksWhatOneProcessFinds() throws {
    let workspace = try Workspace(count: 20)
    for run in ["one", "two", "killed"] {
      let prepare = ["prepare", "photos", "--run", run, "--backbone", "tiny", "--test", "0.2"]
      try workspace.start(prepare).wait().succeeded()
    }
    func search(_ run: String) -> [String] {
      ["search", "--run", run, "--trials", "12", "--repeats", "2", "--at-once", "3"]
        + ["--threads", "1", "--json"]
    }
    let alone = try trials(workspace.start(search("one")).wait())
    #expect(alone.count > 12)
    let together = try workspace.mpi(2, search("two")).wait()
    #expect(try trials(together) == alone)
    #expect(try workspace.text("two/ranks/1.log").contains(": search"))
    let process = try workspace.mpi(3, search("killed"))
    func lines() -> Int {
      (try? workspace.text("killed/search.jsonl").split(separator: "\n").count) ?? 0
    }
    #expect(process.wait { lines() >= 4 })
    kill(try #require(try rank(1, of: "killed", in: workspace)), SIGKILL)
    #expect(process.wait().status != 0)
    let kept = lines()
    #expect(try trials(workspace.mpi(2, search("killed")).wait()) == alone)
    #expect(kept >= 4 && lines() > kept)
    // Who was killed leaves its sign of life and its claims; who goes on removes them.
    for run in ["killed", "two"] {
      let left = try FileSystem.list(workspace.file("\(run)/ranks")).map(\.string)
      #expect(!left.contains { $0.hasPrefix("claims") || $0.hasSuffix(".alive") }, "\(left)")
    }
  }

  @Test func networksAreComparedOnRanksAsByOneProcess() throws {
    let workspace = try Workspace(count: 20)
    try workspace.addCard("dull", scale: 1e-6)
    func rows(_ outcome: Outcome) throws -> [String] {
      try outcome.json()["backbones"].array.map { row in
        ["name", "accuracy", "logme", "is_kept"].map { "\(row[$0].value ?? "")" }.joined(
          separator: " ") + " \(row["gap"]["lower"].value ?? "")"
      }
    }
    for run in ["one", "two"] {
      let prepare = ["prepare", "photos", "--run", run, "--backbone", "tiny"]
      try workspace.start(prepare).wait().succeeded()
    }
    func search(_ run: String) -> [String] {
      ["search", "--run", run, "--backbones", "tiny,dull", "--trials", "2", "--repeats", "2"]
        + ["--threads", "1", "--json"]
    }
    let alone = try rows(workspace.start(search("one")).wait())
    #expect(alone.count == 2)
    #expect(try rows(workspace.mpi(2, search("two")).wait()) == alone)
    #expect(try workspace.text("two/ranks/1.log").contains(": compareBackbones"))
    // Each rank has computed features of its own photos.
    let features = workspace.file("two/cache/features")
    let files = try FileSystem.list(features).flatMap {
      try FileSystem.list(features.appending($0)).map(\.string)
    }
    #expect(files.contains("rows.1"), "\(files)")
  }

  @Test func aDiagnosisOfBatchNormsHasTheNumbersOfOneRank() throws {
    let workspace = try Workspace(count: 30)
    let fit =
      ["fit", "photos", "--backbone", "tiny", "--epochs", "20", "--no-fine-tune", "--valid", "0.4"]
      + ["--threads", "1", "--run", "diagnosed"]
    try workspace.start(fit).wait().succeeded()
    let diagnose = ["diagnose", "batchnorm", "--run", "diagnosed", "--threads", "1", "--json"]
    func document(_ outcome: Outcome) -> String {
      outcome.succeeded()
      return outcome.stdout.split(separator: "\n").filter { !$0.contains("\"seconds\"") }
        .joined(separator: "\n")
    }
    let alone = document(try workspace.start(diagnose).wait())
    #expect(alone.contains("\"loss_alone\""))
    for ranks in [2, 3] {
      let kept = document(try workspace.mpi(ranks, diagnose).wait())
      #expect(kept == alone, "\(ranks) ranks")
      let log = try workspace.text("diagnosed/ranks/1.log")
      #expect(log.contains(": diagnoseBatchNorm"))
    }
  }

  @Test func whatCannotBeSpreadIsRefused() throws {
    let workspace = try ManyRanksTests.alone.get()
    for command in [
      ["predict", "photos", "--model", "alone/model.safetensors"], ["report", "--run", "alone"],
      ["diagnose", "batchnorm", "--model", "alone/model.safetensors", "--data", "photos"],
    ] {
      let outcome = try workspace.mpi(2, command).wait()
      #expect(outcome.status == 64)
      #expect(outcome.stderr.contains("this command does not spread over 2 ranks"))
    }
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
