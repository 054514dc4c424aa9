// SPDX-License-Identifier: Apache-2.0

import Foundation
import SystemPackage
import Testing
import ThawFiles
import ThawTinyBackbone

/// A command that is killed or interrupted and run again ends in the bits of one that was not.
@Suite(.serialized) struct InterruptionTests {
  /// Enough photos that the cache is written in several pieces.
  private static let large = Result { try Workspace(count: 150) }

  /// The arguments of a `fit` that takes a second or two.
  private func fit(_ run: String) -> [String] {
    [
      "fit", "photos", "--run", run, "--backbone", TinyBackbone.name, "--epochs", "12",
      "--no-fine-tune",
    ]
      + ["--hidden", "64", "--patience", "0"]
  }

  @Test func killedAtManyMomentsItEndsInTheSameModel() throws {
    let workspace = try InterruptionTests.large.get()
    let clock = ContinuousClock.now
    try workspace.start(fit("whole/run")).wait().succeeded()
    let whole = clock.duration(to: .now) / .milliseconds(1)
    for round in 1...10 {
      let process = try workspace.start(fit("killed/run"))
      usleep(UInt32(whole * 1000 * Double(round) / 12))
      process.send(SIGKILL)
      let outcome = process.wait()
      #expect(outcome.wasKilled || outcome.status == 0, "\(outcome.stderr)")
    }
    try workspace.start(fit("killed/run")).wait().succeeded()
    for name in ["manifest.json", "model.safetensors", "recipe.yml", "predictions.csv"] {
      #expect(
        try workspace.read("killed/run/\(name)") == workspace.read("whole/run/\(name)"), "\(name)")
    }
    #expect(try epochs(workspace, "killed/run") == Array(0..<12))
    try expectEveryRowOnce(workspace, "killed/run", photos: 300)
    let names = try FileSystem.list(workspace.file("killed/run")).map(\.string)
    #expect(!names.contains { $0.contains(".tmp.") })
  }

  @Test func aKilledCacheContinues() throws {
    let workspace = try InterruptionTests.large.get()
    try caught(workspace, "cut", \.wasKilled) { $0.send(SIGKILL) }
    let kept = try #require(rows(workspace, "cut"))
    let json = try workspace.thaw("cache", "--run", "cut", "--json").json()
    #expect(json["computed"].int == 300 - kept)
    try expectEveryRowOnce(workspace, "cut", photos: 300)
  }

  @Test(arguments: [SIGINT, SIGTERM, SIGHUP])
  func anInterruptedCacheKeepsWhatItHas(signal: Int32) throws {
    let workspace = try InterruptionTests.large.get()
    let run = "stopped-\(signal)"
    let outcome = try caught(workspace, run, { $0.status != 0 }) { $0.send(signal) }
    #expect(outcome.status == 130)
    #expect(
      outcome.errors == [
        "error: interrupted. Give the same command again; what a run directory holds by now is kept."
      ])
    let kept = try #require(rows(workspace, run))
    let json = try workspace.thaw("cache", "--run", run, "--json").json()
    #expect(json["computed"].int == 300 - kept)
    try expectEveryRowOnce(workspace, run, photos: 300)
  }

  /// Does `what` to a `cache` that has begun, anew until that came before the command was done.
  @discardableResult
  private func caught(
    _ workspace: Workspace, _ run: String, _ isCaught: (Outcome) -> Bool,
    _ what: (ThawProcess) throws -> Void
  ) throws -> Outcome {
    for _ in 0..<10 {
      try? FileManager.default.removeItem(atPath: workspace.file(run).string)
      try workspace.start(["prepare", "photos", "--run", run, "--backbone", TinyBackbone.name])
        .wait().succeeded()
      let process = try workspace.start(["cache", "--run", run])
      #expect(process.wait { (rows(workspace, run) ?? 0) > 0 })
      try what(process)
      let outcome = process.wait()
      if isCaught(outcome) { return outcome }
    }
    throw NeverCaught()
  }

  private struct NeverCaught: Error {}

  @Test func aRunThatIsRemovedUnderneathIsNoSuccess() throws {
    let workspace = try InterruptionTests.large.get()
    let outcome = try caught(workspace, "gone", { $0.status != 0 }) { _ in
      try FileManager.default.removeItem(atPath: workspace.file("gone").string)
    }
    #expect(outcome.status == 74)
    #expect(outcome.errors.count == 1)
  }

  @Test func aTerminalThatClosesDoesNotEndWhatNohupStarted() throws {
    let workspace = try InterruptionTests.large.get()
    try workspace.start(["prepare", "photos", "--run", "nohup", "--backbone", TinyBackbone.name])
      .wait().succeeded()
    let process = try workspace.start(
      ["cache", "--run", "nohup"], shell: #"trap '' HUP; exec "$@""#)
    #expect(process.wait { rows(workspace, "nohup") != nil })
    process.send(SIGHUP)
    process.wait().succeeded()
    #expect(rows(workspace, "nohup") == 300)
  }

  @Test func aKilledOrInterruptedTrainingContinues() throws {
    let workspace = try InterruptionTests.large.get()
    let (epochs, checkpoint) = try killAtFirstCheckpoint(workspace)
    try prepare("straight/run", epochs: epochs, workspace)
    try workspace.thaw("train", "--run", "straight/run").succeeded()
    let first = try FileStatus(of: checkpoint)
    let interrupted = try workspace.start(["train", "--run", "resumed/run"])
    #expect(interrupted.wait { interrupted.stderr.contains("Continuing after epoch ") })
    interrupted.send(SIGINT)
    let outcome = interrupted.wait()
    #expect(outcome.status == 130)
    #expect(try FileStatus(of: checkpoint) != first, "an interrupted training saves where it is")
    let last = try workspace.thaw("train", "--run", "resumed/run")
    last.succeeded()
    #expect(last.stderr.contains("Continuing after epoch "))
    #expect(!last.stderr.contains("Continuing after epoch 0."))
    #expect(
      try workspace.read("resumed/run/model.safetensors")
        == workspace.read("straight/run/model.safetensors"))
    #expect(try self.epochs(workspace, "resumed/run") == Array(0..<epochs))
    #expect(!FileSystem.exists(checkpoint), "a finished training needs none")
  }

  private func prepare(_ run: String, epochs: Int, _ workspace: Workspace) throws {
    let long = ["--hidden", "512", "--epochs", "\(epochs)", "--patience", "0"]
    try workspace.start(
      ["prepare", "photos", "--run", run, "--backbone", TinyBackbone.name] + long
    ).wait().succeeded()
    try workspace.thaw("cache", "--run", run).succeeded()
  }

  /// Kills a training in `resumed/run` as soon as its first checkpoint is there, which takes a second.
  /// A training that was done before that is tried again with four times the epochs.
  private func killAtFirstCheckpoint(
    _ workspace: Workspace
  ) throws -> (epochs: Int, checkpoint: FilePath) {
    let checkpoint = workspace.file("resumed/run/checkpoints/trainer.safetensors")
    for epochs in [100, 400, 1600, 6400] {
      try prepare("resumed/run", epochs: epochs, workspace)
      let training = try workspace.start(["train", "--run", "resumed/run"])
      let isThere = training.wait { FileSystem.exists(checkpoint) }
      training.send(SIGKILL)
      if isThere, training.wait().wasKilled, FileSystem.exists(checkpoint) {
        return (epochs, checkpoint)
      }
    }
    throw NeverCaught()
  }

  @Test func aDamagedCheckpointDoesNotBlockTheTraining() throws {
    let workspace = try Workspace(count: 4)
    try workspace.prepare().succeeded()
    try FileSystem.createDirectory(workspace.file("run/checkpoints"))
    try AtomicFile.write(workspace.file("run/checkpoints/trainer.safetensors"), text: "torn")
    let outcome = try workspace.thaw("train", "--run", "run")
    outcome.succeeded()
    #expect(outcome.stderr.contains("trainer.safetensors"))
    #expect(outcome.stderr.contains("The training starts from its beginning."))
  }

  private func epochs(_ workspace: Workspace, _ run: String) throws -> [Int?] {
    try workspace.text("\(run)/history.jsonl").split(separator: "\n").map {
      try JSON(String($0))["epoch"].int
    }
  }

  /// Whole rows that the index of the only feature cache names; nil when there is none yet.
  private func rows(_ workspace: Workspace, _ run: String) -> Int? {
    let features = workspace.file("\(run)/cache/features")
    guard let key = try? FileSystem.list(features).first,
      let status = try? FileStatus(of: features.appending(key).appending("index"))
    else { return nil }
    return (status.size - 128) / 72
  }

  private func expectEveryRowOnce(
    _ workspace: Workspace, _ run: String, photos: Int,
    sourceLocation: SourceLocation = #_sourceLocation
  ) throws {
    #expect(rows(workspace, run) == photos, sourceLocation: sourceLocation)
    let json = try workspace.thaw("cache", "--run", run, "--json").json()
    #expect(json["computed"].int == 0, sourceLocation: sourceLocation)
  }
}
