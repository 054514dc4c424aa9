// SPDX-License-Identifier: Apache-2.0

import Foundation
import SystemPackage
import Testing
import ThawCheckpoints
import ThawFiles

/// Phases, sizes, snapshots, augmentation and their recipes, as commands.
@Suite struct PhasesTests {
  /// A run with a trained head, and a recipe for its fine-tuning.
  private func workspace(_ recipe: String = "", count: Int = 8) throws -> Workspace {
    let workspace = try Workspace(count: count)
    try AtomicFile.write(
      workspace.file("recipe.yml"), text: "backbone: tiny\ntrain: {epochs: 4}\n" + recipe)
    try workspace.thaw(
      "fit", "photos", "--run", "run", "--recipe", "recipe.yml", "--no-fine-tune"
    ).succeeded()
    return workspace
  }

  @Test func gradualUnfreezingMovesTheCutWithThePhase() throws {
    let workspace = try workspace()
    let outcome = try workspace.thaw(
      "fine-tune", "--run", "run", "--gradual", "1,2,1", "--augmentation", "none",
      "--learning-rate", "1e-5:1e-3", "--patience", "0", "--json")
    let json = try outcome.json()
    #expect(json["epochs"].int == 4)
    let phases = json["phases"].array
    #expect(phases.map { $0["last_epoch"].int } == [1, 3, 4])
    #expect(phases.map { $0["cut"].string } == ["flatten", "blocks.4.2.add", "blocks.2.1.add"])
    let rates = phases[2]["groups"].array.map { $0["learning_rate"].double ?? 0 }
    #expect(rates[0] == 0)
    #expect(abs(rates[1] / 4.64158883e-5 - 1) < 1e-6)
    #expect(abs(rates[3] / 1e-3 - 1) < 1e-12)
    #expect(outcome.stderr.contains("No augmentation: training sees one view of each photo"))
    // The features that only the passing phases could use are gone; those of the start are kept, and those
    // of the finished model, which its calibration needed and its evaluation will.
    let caches = try FileSystem.list(workspace.file("run/cache/features"))
    #expect(caches.count == 4)
  }

  @Test func aKilledPhasedTrainingEndsInTheSameModel() throws {
    let workspace = try workspace(
      """
      fine_tune:
        augmentation: photo
        views: fresh
        patience: 0
        batch: 4
        solver: adamw
        phases:
          - {epochs: 3, freeze_to: -1}
          - {epochs: 3, freeze_to: -2, schedule: sgdr}
          - {epochs: 3, freeze_to: 0, trainable_batch_norm: training}
          - {epochs: 2, groups: head}
      """, count: 16)
    try workspace.thaw("fine-tune", "--run", "run", "--json").succeeded()
    let whole = try workspace.read("run/model.safetensors")
    try workspace.thaw(
      "fit", "photos", "--run", "killed", "--recipe", "recipe.yml", "--no-fine-tune"
    ).succeeded()
    var kills = 0
    var resumed: Set<String> = []
    // Each attempt is killed as soon as it has saved a newer state than the one before.
    let checkpoint = workspace.file("killed/checkpoints/trainer.safetensors")
    for _ in 0..<8 {
      let before = try? FileStatus(of: checkpoint)
      let process = try workspace.start(["fine-tune", "--run", "killed"])
      _ = process.wait {
        FileSystem.exists(checkpoint) && (try? FileStatus(of: checkpoint)) != before
      }
      process.send(SIGKILL)
      let outcome = process.wait()
      outcome.stderr.split(separator: "\n").filter { $0.hasPrefix("Continuing") }
        .forEach { resumed.insert(String($0)) }
      if !outcome.wasKilled { break }
      kills += 1
    }
    try workspace.thaw("fine-tune", "--run", "killed").succeeded()
    #expect(kills > 0)
    #expect(try workspace.read("killed/model.safetensors") == whole)
  }

  @Test func sizesAreGoneThroughOneAfterTheOther() throws {
    let workspace = try workspace("sizes: [32, 48]\n")
    let json = try workspace.thaw(
      "fine-tune", "--run", "run", "--epochs", "1", "--views", "1", "--json"
    ).json()
    #expect(json["phases"].array.map { $0["size"].int } == [32, 48])
    #expect(json["epochs"].int == 2)
    let wrong = try workspace.thaw("fine-tune", "--run", "run", "--sizes", "48,32")
    #expect(wrong.status == 64)
    #expect(wrong.stderr.contains("fine-tuning ends at 32 pixels but the network predicts at 48"))
    let again = try workspace.thaw("fine-tune", "--run", "run", "--json").json()
    #expect(again["unchanged"].bool == true, "a refused plan must not stay in the run")
  }

  @Test func aSnapshotSaysWhetherTheFrozenLayersCameFromTheCache() throws {
    let workspace = try workspace()
    for (views, isCached) in [("fresh", false), ("2", true)] {
      try workspace.thaw(
        "train", "--run", "run", "--epochs", "2", "--schedule", "sgdr", "--cycle-length", "2",
        "--cycle-mult", "1", "--patience", "0", "--augmentation", "photo", "--views", views
      ).succeeded()
      let path = workspace.file("run/checkpoints/snapshot-0002.safetensors")
      #expect(try ModelFile.read(path).record.training.contains("\"cached\":\(isCached)"))
    }
  }

  @Test func snapshotsOfTheCyclesAnswerTogether() throws {
    let workspace = try workspace()
    let none = try workspace.thaw("evaluate", "--run", "run", "--snapshots")
    #expect(none.status == 65)
    #expect(none.stderr.contains("A schedule with cycles makes them"))
    try workspace.thaw(
      "train", "--run", "run", "--epochs", "6", "--schedule", "sgdr", "--cycle-length", "2",
      "--cycle-mult", "1", "--learning-rate", "0.1", "--patience", "0"
    ).succeeded()
    let files = try FileSystem.list(workspace.file("run/checkpoints")).map(\.string)
      .filter { $0.hasPrefix("snapshot-") }.sorted()
    #expect(files == ["0002", "0004", "0006"].map { "snapshot-\($0).safetensors" })
    let single = try workspace.thaw("evaluate", "--run", "run", "--json").json()
    let ensemble = try workspace.thaw("evaluate", "--run", "run", "--snapshots", "--json").json()
    #expect(single["loss"].double != ensemble["loss"].double)
    // The mean of what each snapshot says for one photo.
    let row = try #require(
      try workspace.text("run/predictions.csv").split(separator: "\r\n").dropFirst().first)
    let fields = row.split(separator: ",").map(String.init)
    func probability(_ model: String, _ more: String...) throws -> Double {
      let json = try workspace.start(
        ["predict", "--model", model, "photos/\(fields[0])", "--json"] + more
      ).wait().json()
      let top = json[0]["top"].array.first { $0["label"].string == fields[3] }
      return top?["probability"].double ?? 0
    }
    let members = try files.map { try probability("run/checkpoints/\($0)") }
    let mean = members.reduce(0, +) / 3
    #expect(abs((Double(fields[4]) ?? 0) - mean) < 1e-6)
    #expect(abs(try probability("run/model.safetensors", "--snapshots") - mean) < 1e-6)
    // Another training's snapshots are removed, not mixed in.
    try workspace.thaw("train", "--run", "run", "--schedule", "cosine").succeeded()
    #expect(
      try FileSystem.list(workspace.file("run/checkpoints")).map(\.string)
        .filter { $0.hasPrefix("snapshot-") }.isEmpty)
  }

  @Test(arguments: [
    ("mean", "centre and 3 augmented views averaged (TTA)"),
    ("corners", "centre and 8 corners (TTA)"),
    ("blend", "centre and 3 augmented views blended (TTA)"),
    ("maximum", "largest of the centre and 3 augmented views (TTA)"),
  ])
  func testTimeAugmentationIsJudgedAsItPredicts(mode: String, name: String) throws {
    let workspace = try Workspace.fitted.get().workspace
    let options = ["--tta", "3", "--tta-mode", mode]
    let evaluate = ["evaluate", "--model", "run/model.safetensors", "--data", "photos"] + options
    let judged = try workspace.start(evaluate + ["--json"]).wait().json()
    let predicted = try workspace.start(
      ["predict", "--model", "run/model.safetensors", "photos", "--json"] + options
    ).wait().json().array
    let right = predicted.count {
      $0["path"].string?.hasPrefix("photos/\($0["label"].string ?? "")/") == true
    }
    #expect(predicted.count == 36 && judged["count"].int == 36)
    #expect(abs((judged["accuracy"].double ?? 0) - Double(right) / 36) < 1e-9)
    let sums = predicted[0]["top"].array.compactMap { $0["probability"].double }
    #expect(abs(sums.reduce(0, +) - 1) < 1e-5)
    #expect(try workspace.start(evaluate).wait().stdout.contains(", \(name) (95 % interval "))
  }

  @Test func halfPrecisionHalvesTheCacheAndJudgesInFull() throws {
    let workspace = try workspace("cache: float16\n")
    let sizes = try FileSystem.list(workspace.file("run/cache/features")).map {
      try FileStatus(of: workspace.file("run/cache/features").appending($0).appending("rows")).size
    }
    // Training reads halves of all 16 photos; the validation photos were judged in full.
    #expect(sizes.count == 2 && sizes.contains(16 * 1280 * 2))
    #expect(!sizes.contains(16 * 1280 * 4))
    let row = try #require(
      try workspace.text("run/predictions.csv").split(separator: "\r\n").dropFirst().first)
    let fields = row.split(separator: ",").map(String.init)
    let predicted = try workspace.thaw(
      "predict", "--model", "run/model.safetensors", "photos/\(fields[0])", "--json"
    ).json()
    #expect(predicted[0]["label"].string == fields[3])
    #expect(abs((predicted[0]["probability"].double ?? 0) - (Double(fields[4]) ?? 1)) < 1e-6)
  }

  @Test func theProgramSaysWhereAugmentedPhotosComeFrom() throws {
    let workspace = try workspace()
    let statements = [
      (
        ["--views", "2", "--freeze-to", "-2"],
        "2 cached views of each, epochs take turns with them."
      ),
      (
        ["--views", "fresh", "--freeze-to", "-2"],
        "a new draw in every epoch, computed through the frozen layers"
      ),
      (["--views", "fresh", "--unfreeze"], "a new draw in every epoch.\n"),
      (["--augmentation", "none"], "one view of each photo, decoded in every epoch.\n"),
    ]
    for (options, statement) in statements {
      let outcome = try workspace.start(
        ["fine-tune", "--run", "run", "--epochs", "1"] + options
      ).wait()
      outcome.succeeded()
      #expect(outcome.stderr.contains(statement), "\(outcome.stderr)")
    }
  }

  @Test func fitFollowsTheRecipesWholeStory() throws {
    let workspace = try Workspace(count: 6)
    try AtomicFile.write(
      workspace.file("story.yml"),
      text: """
        backbone: tiny
        train: {epochs: 3, augmentation: {horizontal_flip: true}, views: 2}
        fine_tune: {epochs: 1, freeze_to: -2, views: 1, batch: 64}
        evaluate: {tta: 2, tta_mode: mean}
        """)
    let json = try workspace.thaw(
      "fit", "photos", "--run", "run", "--recipe", "story.yml", "--json"
    ).json()
    #expect(json["fine_tune"]["epochs"].int == 1)
    #expect(json["train"]["epochs"].int == 3)
    let plain = try workspace.thaw(
      "fit", "photos", "--run", "other", "--recipe", "story.yml", "--no-fine-tune", "--json"
    ).json()
    #expect(!plain["fine_tune"].isThere)
    try workspace.thaw("report", "--run", "run").succeeded()
  }

  @Test func anOptionOfFitMeansBothTrainings() throws {
    let workspace = try Workspace(count: 5)
    let outcome = try workspace.thaw(
      "fit", "photos", "--run", "run", "--backbone", "tiny", "--epochs", "2", "--patience", "0",
      "--views", "1", "--learning-rate", "head:0.05,fine-tune:1e-4", "--json")
    let json = try outcome.json()
    #expect(json["train"]["epochs"].int == 2)
    #expect(json["fine_tune"]["epochs"].int == 2)
    #expect(outcome.stderr.contains("--epochs: 2 for the head, 2 for fine-tuning.\n"))
    #expect(outcome.stderr.contains("--learning-rate: 0.05 for the head, 0.0001 for fine-tuning."))
    #expect(outcome.stderr.contains("--views: no effect on the head (nothing is augmented), 1 for"))
    let recipe = try workspace.text("run/recipe.yml")
    #expect(recipe.components(separatedBy: "  epochs: 2\n").count == 3)
    let again = try workspace.thaw(
      "fit", "photos", "--run", "run", "--epochs", "fine-tune:1", "--json")
    #expect(try again.json()["train"]["unchanged"].bool == true)
    #expect(try again.json()["fine_tune"]["epochs"].int == 1)
    #expect(again.stderr.contains("--epochs: the head keeps 2, 1 for fine-tuning.\n"))
  }

  @Test func theFinderSweepsThawedLayersAndChangesNothing() throws {
    let workspace = try workspace(count: 5)
    let model = try workspace.read("run/model.safetensors")
    let recipe = try workspace.read("run/recipe.yml")
    let search = try workspace.thaw(
      "find-lr", "--run", "run", "--unfreeze", "--iterations", "12", "--json"
    ).json()
    #expect(search["learning_rates"].array.count > 3)
    #expect(try workspace.read("run/model.safetensors") == model)
    #expect(try workspace.read("run/recipe.yml") == recipe)
    let none = try workspace.thaw("find-lr", "--run", "run", "--phase", "3")
    #expect(none.status == 64)
    #expect(none.stderr.contains("there is no phase 3: fine-tuning has 1"))
  }

  @Test(arguments: [
    (["--learning-rate", "1e-2,1e-3"], Int32(64), "has 2 rates, efficientnet_lite0 has 4 layer"),
    (["--gradual", "1,1,1,1,1"], 64, "fine_tune.gradual has 5 phases, the network has 4"),
    (["--gradual", "1", "--unfreeze"], 64, "contradict each other"),
    (["--cycle-length", "2"], 64, "--cycle-length 2 has no effect: the schedule is cosine"),
    (["--learning-rate", "1e-4:1e-2", "--layer-decay", "0.5"], 64, "needs a single"),
    (["--layer-decay", "2"], 64, "'--layer-decay' is '2', expected a number from 1e-06 to 1.0"),
    (["--views", "often"], 64, "'--views' is 'often', expected"),
  ])
  func wrongSettingsAreRefusedAndForgotten(
    options: [String], code: Int32, message: String
  ) throws {
    let workspace = try workspace(count: 4)
    let recipe = try workspace.read("run/recipe.yml")
    let outcome = try workspace.start(["fine-tune", "--run", "run"] + options).wait()
    #expect(outcome.status == code)
    #expect(outcome.stderr.contains(message), "\(outcome.stderr)")
    #expect(try workspace.read("run/recipe.yml") == recipe)
  }
}
