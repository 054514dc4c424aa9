// SPDX-License-Identifier: Apache-2.0

import Foundation
import SystemPackage
import Testing
import ThawFiles

/// Fine-tuning that is killed, interrupted or out of room, and run again.
@Suite(.serialized) struct FineTuneInterruptionTests {
  /// Two copies of a run whose head is trained; fine-tuning it takes some seconds.
  private static let prepared = Result { () throws -> Workspace in
    let workspace = try Workspace(count: 20)
    try workspace.fit("--valid", "0.3").succeeded()
    for name in ["whole", "killed", "stopped", "small", "blocked"] {
      try FileManager.default.copyItem(
        atPath: workspace.file("run").string, toPath: workspace.file(name).string)
    }
    return workspace
  }

  /// Phases, batch statistics, momentum, mixing and augmented views: all that a checkpoint must hold.
  private func arguments(_ run: String, epochs: Int = 8) -> [String] {
    ["fine-tune", "--run", run, "--freeze-to", "-2", "--epochs", "\(epochs)", "--batch", "4"]
      + ["--trainable-batch-norm", "training", "--augmentation", "photo", "--views", "2"]
      + ["--patience", "0", "--learning-rate", "0.003"]
  }

  @Test func killedAtManyMomentsItEndsInTheSameBits() throws {
    let workspace = try FineTuneInterruptionTests.prepared.get()
    let clock = ContinuousClock.now
    try workspace.start(arguments("whole")).wait().succeeded()
    let whole = clock.duration(to: .now) / .milliseconds(1)
    var random = SystemRandomNumberGenerator()
    var moments: [Double] = []
    for _ in 0..<4 {
      let moment = Double.random(in: 0.05...0.95, using: &random)
      moments.append(moment)
      let process = try workspace.start(arguments("killed"))
      usleep(UInt32(whole * 1000 * moment))
      process.send(SIGKILL)
      let outcome = process.wait()
      #expect(outcome.wasKilled || outcome.status == 0, "\(moments): \(outcome.stderr)")
    }
    try workspace.start(arguments("killed")).wait().succeeded()
    #expect(
      try workspace.read("killed/model.safetensors") == workspace.read("whole/model.safetensors"),
      "killed at \(moments) of the time")
    #expect(try history(workspace, "killed") == history(workspace, "whole"))
    #expect(try history(workspace, "whole").count == 8)
    let names = try FileSystem.list(workspace.file("killed")).map(\.string)
    #expect(!names.contains { $0.contains(".tmp.") })
  }

  @Test(arguments: [SIGINT, SIGTERM])
  func interruptedItFinishesTheBatchAndSaves(signal: Int32) throws {
    let workspace = try FineTuneInterruptionTests.prepared.get()
    let model = try workspace.read("stopped/model.safetensors")
    // Long enough to be interrupted; another length a signal, so that each begins anew.
    let long = arguments("stopped", epochs: signal == SIGINT ? 2000 : 2001)
    let process = try workspace.start(long)
    let checkpoint = workspace.file("stopped/checkpoints/trainer.safetensors")
    let before = try? FileStatus(of: checkpoint)
    #expect(process.wait { (try? FileStatus(of: checkpoint)) != before })
    process.send(signal)
    let outcome = process.wait()
    #expect(outcome.status == 130)
    #expect(
      outcome.errors == [
        "error: interrupted. Give the same command again; what a run directory holds by now is kept."
      ])
    #expect(try workspace.read("stopped/model.safetensors") == model)
    let again = try workspace.start(long)
    #expect(again.wait { again.stderr.contains("Continuing after epoch ") })
    again.send(signal)
    #expect(again.wait().status == 130)
  }

  @Test func aSecondProcessIsRefusedByName() throws {
    let workspace = try FineTuneInterruptionTests.prepared.get()
    let lock = try DirectoryLock(workspace.file("run"))
    let outcome = try workspace.start(arguments("run")).wait()
    #expect(outcome.status == 75)
    #expect(
      outcome.errors == [
        "error: run: in use by process \(getpid()). Wait for it or use another run directory."
      ])
    withExtendedLifetime(lock) {}
  }

  /// A limit on the size of files stands in for a disk that fills up: both end in a failed write.
  @Test func aFullDiskIsAClearErrorAndLeavesModelAndRunIntact() throws {
    let workspace = try FineTuneInterruptionTests.prepared.get()
    let model = try workspace.read("small/model.safetensors")
    let head = try workspace.read("small/checkpoints/head.safetensors")
    // 512-byte blocks: half of the model.
    let limit = model.count / 1024
    let outcome = try workspace.start(
      arguments("small", epochs: 2), shell: "ulimit -f \(limit); exec \"$@\""
    ).wait()
    #expect(outcome.status == 74, "\(outcome.stderr)")
    #expect(outcome.errors.count == 1)
    #expect(outcome.stderr.contains("File too large"), "\(outcome.stderr)")
    #expect(try workspace.read("small/model.safetensors") == model)
    #expect(try workspace.read("small/checkpoints/head.safetensors") == head)
    try workspace.start(arguments("small", epochs: 2)).wait().succeeded()
    #expect(try workspace.read("small/model.safetensors") != model)
  }

  /// Root may write anywhere, so a file in the place of the directory stands in for a read-only one.
  @Test func aPlaceThatCannotBeWrittenIsAClearErrorAndLeavesTheModel() throws {
    let workspace = try FineTuneInterruptionTests.prepared.get()
    let model = try workspace.read("blocked/model.safetensors")
    let cache = workspace.file("blocked/cache").string
    try FileManager.default.removeItem(atPath: cache)
    try AtomicFile.write(workspace.file("blocked/cache"), text: "no directory")
    let outcome = try workspace.start(arguments("blocked")).wait()
    #expect(outcome.status == 74, "\(outcome.stderr)")
    #expect(outcome.errors.count == 1)
    #expect(outcome.stderr.contains("blocked/cache"), "\(outcome.stderr)")
    #expect(try workspace.read("blocked/model.safetensors") == model)
  }

  /// The epochs without the time they took.
  private func history(_ workspace: Workspace, _ run: String) throws -> [[String]] {
    try workspace.text("\(run)/history.jsonl").split(separator: "\n").map { line in
      let record = try JSON(String(line))
      return record.keys.filter { $0 != "seconds" }.map { "\($0): \(record[$0].value ?? "")" }
    }
  }
}
