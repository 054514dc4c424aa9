// SPDX-License-Identifier: Apache-2.0

import SystemPackage
import Testing
import ThawFiles
import ThawTestSupport
import ThawTinyBackbone

/// `fit --minutes`: fine-tuning as long as there is time for.
struct MinutesTests {
  private func fit(_ workspace: Workspace, _ more: String...) throws -> Outcome {
    try workspace.start(
      [
        "fit", "photos", "--run", "run", "--backbone", TinyBackbone.name, "--epochs", "head:5",
        "--json",
      ] + more
    ).wait()
  }

  @Test func enoughTimeChangesNothing() throws {
    let workspace = try Workspace(count: 6)
    let plenty = try fit(workspace, "--epochs", "head:5,fine-tune:2", "--minutes", "1000")
    #expect(try plenty.json()["fine_tune"]["epochs"].int == 2, "\(plenty.stderr)")
    #expect(plenty.stderr.contains("All 2 epochs fit into 1000 minutes"))
    let model = try workspace.read("run/model.safetensors")
    let again = try fit(workspace, "--epochs", "head:5,fine-tune:2")
    #expect(try again.json()["fine_tune"]["unchanged"].bool == true)
    #expect(try workspace.read("run/model.safetensors") == model)
  }

  @Test func withoutTimeTheHeadIsTheModelAndMoreTimeGoesOn() throws {
    let workspace = try Workspace(count: 6)
    let epochs = ["--epochs", "head:5,fine-tune:2"]
    for isFirst in [true, false] {
      let outcome = try fit(workspace, epochs[0], epochs[1], "--minutes", "0.001")
      #expect(try outcome.json()["fine_tune"].isThere == false)
      #expect(outcome.stderr.contains("warning: Not fine-tuned: an epoch takes"))
      #expect(try outcome.json()["train"]["unchanged"].bool == !isFirst)
    }
    let more = try fit(workspace, "--minutes", "100")
    #expect(try more.json()["fine_tune"]["epochs"].int == 2, "\(more.stderr)")
  }

  /// As many epochs as the machine makes in the time; the same command stays with that number.
  @Test func theEpochsThatFitAreChosenOnce() throws {
    let workspace = try Workspace(count: 6)
    var epochs = 0
    for minutes in ["0.25", "0.5", "1", "2"] where epochs == 0 {
      let arguments = ["--epochs", "head:5,fine-tune:100000", "--minutes", minutes]
      let outcome = try fit(workspace, arguments[0], arguments[1], arguments[2], arguments[3])
      epochs = try outcome.json()["fine_tune"]["epochs"].int ?? 0
      guard epochs > 0 else { continue }
      #expect(outcome.stderr.contains(" of 100000 epochs fit into \(minutes) minute"))
      let again = try fit(workspace, arguments[0], arguments[1], arguments[2], arguments[3])
      #expect(try again.json()["fine_tune"]["unchanged"].bool == true, "\(again.stderr)")
      let plain = try fit(workspace)
      #expect(try plain.json()["fine_tune"]["unchanged"].bool == true, "\(plain.stderr)")
    }
    #expect(epochs > 0 && epochs < 100_000)
  }

  @Test(arguments: [
    (["--minutes", "0"], "is not a number above 0"),
    (["--minutes", "5", "--no-fine-tune"], "--minutes has no effect"),
    (["--minutes", "5", "--recipe", "gradual.yml"], "its phases or sizes say theirs"),
  ])
  func whatCannotBeHeededIsRefused(options: [String], reason: String) throws {
    let workspace = try Workspace(count: 4)
    try AtomicFile.write(
      workspace.file("gradual.yml"), text: "fine_tune:\n  gradual: [1, 1]\n")
    let outcome = try workspace.start(
      ["fit", "photos", "--run", "run", "--backbone", TinyBackbone.name] + options
    ).wait()
    #expect(outcome.status == 64 && outcome.stderr.contains(reason), "\(outcome.stderr)")
    #expect(!FileSystem.exists(workspace.file("run")))
  }
}
