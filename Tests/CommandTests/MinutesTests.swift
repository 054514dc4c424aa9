// SPDX-License-Identifier: Apache-2.0

import Foundation
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

  /// The same recipe without a clock gives the same model, to the bit, and the run stays as it is.
  @Test func theRecordedRecipeRepeatsTheRun() throws {
    let workspace = try Workspace(count: 8)
    let planned = try fit(workspace, "--minutes", "0.5")
    let plan = try planned.json()["plan"]
    #expect(try plan["epochs"].int ?? 0 >= 2, "\(planned.stderr)")
    #expect(try plan["decisions"].array.count >= 3, "\(planned.stderr)")
    let model = try workspace.read("run/model.safetensors")
    let again = try fit(workspace, "--minutes", "0.5")
    #expect(try again.json()["fine_tune"]["unchanged"].bool == true, "\(again.stderr)")
    let plain = try fit(workspace)
    #expect(try plain.json()["fine_tune"]["unchanged"].bool == true, "\(plain.stderr)")
    #expect(try plain.json()["plan"].isThere == false)
    let other = try workspace.start([
      "fit", "photos", "--run", "other", "--recipe", "run/recipe.yml", "--json",
    ]).wait()
    #expect(other.status == 0, "\(other.stderr)")
    #expect(try workspace.read("other/model.safetensors") == model)
  }

  @Test func whatWasAskedForStands() throws {
    let workspace = try Workspace(count: 6)
    let outcome = try fit(workspace, "--epochs", "head:5,fine-tune:3", "--minutes", "5")
    #expect(try outcome.json()["fine_tune"]["epochs"].int == 3, "\(outcome.stderr)")
    let recipe = String(decoding: try workspace.read("run/recipe.yml"), as: UTF8.self)
    #expect(!recipe.contains("minutes:"))
  }

  /// Time that runs out ends the training between two epochs, and the recipe says after how many.
  @Test func timeThatRunsOutEndsTheTraining() throws {
    let workspace = try Workspace(count: 8)
    var epochs = 0
    for minutes in [0.3, 0.6, 1.2] where epochs == 0 {
      let outcome = try fit(
        workspace, "--epochs", "head:5,fine-tune:100000", "--minutes", "\(minutes)")
      epochs = try outcome.json()["fine_tune"]["epochs"].int ?? 0
      let seconds = try outcome.json()["plan"]["seconds"].double ?? 0
      // Other tests run at the same time.
      #expect(seconds < 2 * 60 * minutes, "\(outcome.stderr)")
    }
    #expect(epochs > 1 && epochs < 100_000)
    let again = try fit(workspace)
    #expect(try again.json()["fine_tune"]["unchanged"].bool == true, "\(again.stderr)")
  }

  /// Killed at any moment, the same command goes on with the plan that was made.
  @Test func aKilledFitGoesOnWithItsPlan() throws {
    let workspace = try Workspace(count: 8)
    let arguments = [
      "fit", "photos", "--run", "run", "--backbone", TinyBackbone.name, "--epochs",
      "head:5,fine-tune:400", "--minutes", "2", "--json",
    ]
    let process = try workspace.start(arguments)
    #expect(process.wait(until: { process.stderr.contains("  epoch ") }), "\(process.stderr)")
    process.send(SIGKILL)
    _ = process.wait()
    let goesOn = try workspace.start(
      ["fit", "photos", "--run", "run", "--backbone", TinyBackbone.name, "--json"])
    #expect(
      goesOn.wait(until: { goesOn.stderr.contains("was planned for 2 minutes") }),
      "\(goesOn.stderr)")
    goesOn.send(SIGKILL)
    _ = goesOn.wait()
    let outcome = try workspace.start(arguments).wait()
    #expect(
      outcome.status == 0 && outcome.stderr.contains("Continuing after epoch"), "\(outcome.stderr)")
    #expect(!outcome.stderr.contains("Measured at"), "\(outcome.stderr)")
  }

  @Test func tooLittleForAnythingIsRefusedWithWhatItNeeds() throws {
    let workspace = try Workspace(count: 6)
    let outcome = try fit(workspace, "--minutes", "0.001")
    #expect(outcome.status == 64, "\(outcome.stderr)")
    #expect(outcome.stderr.contains("too little for anything"))
    #expect(outcome.stderr.contains("Try --minutes 0."))
    #expect(!FileSystem.exists(workspace.file("run/model.safetensors")))
  }

  @Test func theRecipeMaySayTheMinutes() throws {
    let workspace = try Workspace(count: 6)
    try AtomicFile.write(
      workspace.file("short.yml"),
      text: "backbone: \(TinyBackbone.name)\nminutes: 1\nfine_tune:\n  epochs: 2\n")
    let outcome = try workspace.start([
      "fit", "photos", "--run", "run", "--recipe", "short.yml", "--json",
    ]).wait()
    #expect(try outcome.json()["plan"]["minutes"].double == 1, "\(outcome.stderr)")
    let recipe = String(decoding: try workspace.read("run/recipe.yml"), as: UTF8.self)
    #expect(!recipe.contains("minutes:"))
  }

  @Test(arguments: [
    (["--minutes", "0"], "is not a number above 0"),
    (["--minutes", "5", "--recipe", "fresh.yml"], "plans a head on cached features"),
    (["--minutes", "5", "--recipe", "snapshots.yml"], "averages whole ones"),
    (["--minutes", "5", "--recipe", "gradual.yml"], "phases or sizes say theirs"),
  ])
  func whatCannotBeHeededIsRefused(options: [String], reason: String) throws {
    let workspace = try Workspace(count: 4)
    try AtomicFile.write(
      workspace.file("gradual.yml"), text: "fine_tune:\n  gradual: [1, 1]\n")
    try AtomicFile.write(
      workspace.file("fresh.yml"), text: "train:\n  augmentation: photo\n  views: fresh\n")
    try AtomicFile.write(
      workspace.file("snapshots.yml"), text: "evaluate:\n  snapshots: true\n")
    let outcome = try workspace.start(
      ["fit", "photos", "--run", "run", "--backbone", TinyBackbone.name] + options
    ).wait()
    #expect(outcome.status == 64 && outcome.stderr.contains(reason), "\(outcome.stderr)")
    #expect(!FileSystem.exists(workspace.file("run")))
  }
}
