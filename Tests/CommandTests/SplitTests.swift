// SPDX-License-Identifier: Apache-2.0

import Foundation
import SystemPackage
import Testing
import ThawFiles

/// How photos are split, and what becomes of a run when that changes.
struct SplitTests {
  private func counts(_ json: JSON) -> [[Int?]] {
    json["classes"].array.map { [$0["train"].int, $0["valid"].int, $0["test"].int] }
  }

  @Test func everyClassGetsItsExactShare() throws {
    let workspace = try Workspace()
    let json = try workspace.prepare("--valid", "0.2", "--json").json()
    #expect(counts(json) == [[10, 2, 0], [10, 2, 0]])
    #expect(!json["new_split"].isThere)
  }

  @Test func aChangedShareIsANewSplitAndSaysSo() throws {
    let workspace = try Workspace()
    try workspace.fit("--valid", "0.2").succeeded()
    let model = try workspace.read("run/model.safetensors")
    let outcome = try workspace.fit("--valid", "0.5", "--json")
    let json = try outcome.json()
    #expect(counts(json["prepare"]) == [[6, 6, 0], [6, 6, 0]])
    #expect(json["prepare"]["new_split"]["moved"].int == 8)
    #expect(json["train"]["unchanged"].bool == false)
    #expect(outcome.stderr.contains("the photos are split anew: valid 0.2"), "\(outcome.stderr)")
    #expect(try workspace.read("run/model_of_former_split.safetensors") == model)
  }

  @Test func noModelIsJudgedOnPhotosOfAnotherSplit() throws {
    let workspace = try Workspace()
    try workspace.fit().succeeded()
    try workspace.prepare("--seed", "7").succeeded()
    let judged = try workspace.thaw("evaluate", "--run", "run")
    #expect(judged.status == 65 || judged.status == 64)
    #expect(judged.stderr.contains("there is no model.safetensors yet"), "\(judged.stderr)")
    let tuned = try workspace.thaw("fine-tune", "--run", "run")
    #expect(tuned.stderr.contains("thaw train"), "\(tuned.stderr)")
  }

  @Test func aRunWithoutValidationPhotosCanGetSome() throws {
    let workspace = try Workspace()
    let first = try workspace.prepare("--valid", "0", "--json").json()
    #expect(counts(first) == [[12, 0, 0], [12, 0, 0]])
    let second = try workspace.prepare("--valid", "0.25", "--json").json()
    #expect(counts(second) == [[9, 3, 0], [9, 3, 0]])
  }

  @Test func theSeedOfATrainingAloneSplitsNothing() throws {
    let workspace = try Workspace()
    try workspace.fit().succeeded()
    let trained = try workspace.thaw("train", "--run", "run", "--seed", "7")
    trained.succeeded()
    #expect(trained.stderr.contains("stay split by seed 42"), "\(trained.stderr)")
  }

  @Test func sharesBesideSplitFoldersAreAnError() throws {
    let workspace = try Workspace()
    for (kind, name) in ["blue", "red"].enumerated() {
      for (folder, numbers) in [("train", 0..<6), ("valid", 6..<9)] {
        try FileSystem.createDirectory(workspace.file("data/\(folder)/\(name)"))
        for number in numbers {
          try AtomicFile.write(
            workspace.file("data/\(folder)/\(name)/\(number).png"),
            bytes: Workspace.photo(kind: kind, number: number))
        }
      }
    }
    func prepare(_ options: String...) throws -> Outcome {
      try workspace.start(["prepare", "data", "--run", "run"] + Workspace.recipe + options).wait()
    }
    for option in ["--valid", "--test"] {
      let outcome = try prepare(option, "0.3")
      #expect(outcome.status == 64)
      #expect(outcome.stderr.contains("\(option) has no effect"), "\(outcome.stderr)")
    }
    try prepare().succeeded()
  }

  @Test func patienceWithoutValidationPhotosIsAnError() throws {
    let workspace = try Workspace(count: 6)
    let refused = try workspace.prepare("--valid", "0", "--patience", "3")
    #expect(refused.status == 64 && refused.stderr.contains("--patience has no effect"))
    try workspace.prepare("--valid", "0").succeeded()
    let train = try workspace.thaw("train", "--run", "run", "--patience", "3")
    #expect(train.status == 64 && train.stderr.contains("--patience has no effect"))
  }

  @Test func aPhotoUnderTwoLabelsStopsBeforeTraining() throws {
    let workspace = try Workspace()
    try workspace.addPhoto("red", kind: 0, number: 3, named: "blue.png")
    let outcome = try workspace.fit()
    #expect(outcome.status == 65 && outcome.errors.count == 1)
    #expect(outcome.stderr.contains("blue/3.png = red/blue.png"), "\(outcome.stderr)")
    let json = try workspace.fit("--conflicting-labels", "drop", "--json").json()
    #expect(json["prepare"]["count"].int == 23)
  }

  private func swap(_ one: FilePath, _ two: FilePath) throws {
    let between = one.removingLastComponent().appending("between")
    try FileSystem.move(one, to: between)
    try FileSystem.move(two, to: one)
    try FileSystem.move(between, to: two)
  }

  /// Whatever moves photos: the model must not be judged on those that it has learned from.
  @Test func photosThatMoveBetweenFoldersPutTheModelAside() throws {
    let workspace = try Workspace(classes: ["train/blue", "train/red"])
    for kind in 0..<2 {
      for number in 20..<24 {
        try workspace.addPhoto(kind == 0 ? "valid/blue" : "valid/red", kind: kind, number: number)
      }
    }
    try workspace.fit().succeeded()
    let model = try workspace.read("run/model.safetensors")
    try swap(workspace.file("photos/train"), workspace.file("photos/valid"))
    let prepared = try workspace.prepare("--json")
    #expect(try prepared.json()["new_split"]["moved"].int == 32)
    #expect(try workspace.read("run/model_of_former_split.safetensors") == model)
    let judged = try workspace.thaw("evaluate", "--run", "run")
    #expect(judged.status != 0 && judged.stderr.contains("there is no model.safetensors yet"))
  }

  @Test func aModelStaysWhenItsPhotosDo() throws {
    let workspace = try Workspace()
    try workspace.fit().succeeded()
    try FileSystem.remove(workspace.file("run/manifest.json"))
    let same = try workspace.prepare("--json")
    #expect(try !same.json()["new_split"].isThere)
    #expect(FileSystem.exists(workspace.file("run/model.safetensors")))
    // With other photos nobody knows which of them the model has learned from.
    for number in 50..<70 { try workspace.addPhoto("red", kind: 1, number: number) }
    try FileSystem.remove(workspace.file("run/manifest.json"))
    let other = try workspace.prepare("--json")
    #expect(try other.json()["new_split"]["former_model"].isThere, "\(other.stderr)")
    #expect(!FileSystem.exists(workspace.file("run/model.safetensors")))
  }

  @Test func aModelOfEarlierPhotosSaysSoWhenItIsJudged() throws {
    let workspace = try Workspace()
    try workspace.fit().succeeded()
    #expect(try workspace.thaw("evaluate", "--run", "run").stderr.contains("have changed") == false)
    for number in 50..<60 { try workspace.addPhoto("red", kind: 1, number: number) }
    try workspace.prepare().succeeded()
    let judged = try workspace.thaw("evaluate", "--run", "run")
    judged.succeeded()
    #expect(judged.stderr.contains("the run's photos have changed since it was trained"))
  }

  @Test func aClassThatIsGoneIsNamedWithAWayOut() throws {
    let workspace = try Workspace(classes: ["blue", "red", "green"])
    try workspace.prepare().succeeded()
    try FileManager.default.removeItem(atPath: workspace.file("photos/green").string)
    let outcome = try workspace.prepare()
    #expect(outcome.status == 65)
    #expect(outcome.stderr.contains("class 'green' of this run has no photos any more"))
    #expect(outcome.stderr.contains("another --run"))
    try workspace.thaw("prepare", "photos", "--run", "other", "--backbone", "tiny").succeeded()
  }

  @Test func aClassThatIsNewAsksForTraining() throws {
    let workspace = try Workspace()
    try workspace.fit().succeeded()
    for number in 0..<12 { try workspace.addPhoto("green", kind: 2, number: number) }
    try workspace.prepare().succeeded()
    for command in ["fine-tune", "report", "evaluate"] {
      let outcome = try workspace.thaw(command, "--run", "run")
      #expect(
        outcome.status == 65 && outcome.stderr.contains("trained for other classes"), "\(command)")
      #expect(outcome.stderr.contains("thaw train --run run"), "\(command)")
    }
    try workspace.thaw("train", "--run", "run").succeeded()
  }

  @Test func fitRefusesToMeasureNothingBeforeItWorks() throws {
    let workspace = try Workspace()
    let outcome = try workspace.fit("--valid", "0")
    #expect(outcome.status == 65 && outcome.stderr.contains("nothing could be measured"))
    #expect(!FileSystem.exists(workspace.file("run/model.safetensors")))
    // What it advises works.
    try workspace.thaw("cache", "--run", "run").succeeded()
    try workspace.thaw("train", "--run", "run").succeeded()
  }

  @Test func validationPhotosThatAreGoneAreMissed() throws {
    let workspace = try Workspace()
    try workspace.prepare().succeeded()
    let manifest = try JSON(workspace.text("run/manifest.json"))
    for record in manifest["records"].array where record["split"].string == "valid" {
      let path = try #require(record["path"].string)
      try FileSystem.remove(workspace.file("photos/\(path)"))
    }
    let outcome = try workspace.prepare()
    outcome.succeeded()
    #expect(outcome.stderr.contains("no valid photos are left"), "\(outcome.stderr)")
    // Another seed, which it advises.
    let anew = try workspace.prepare("--seed", "7", "--json").json()
    #expect(counts(anew).allSatisfy { ($0[1] ?? 0) > 0 })
  }

  @Test func groupsThatAreLargerThanTheShareAreNamed() throws {
    let workspace = try Workspace(classes: ["blue", "red"], count: 0)
    for (kind, name) in ["blue", "red"].enumerated() {
      for number in 0..<10 {
        let folder = number < 5 ? "one" : "two"
        try workspace.addPhoto("\(name)/\(folder)", kind: kind, number: number)
      }
    }
    let outcome = try workspace.prepare("--group-by", "folder", "--layout", "classes")
    outcome.succeeded()
    #expect(
      outcome.stderr.contains("are not the share 0.2 that was asked for: 5 of 10 of 'blue'"),
      "\(outcome.stderr)")
  }
}
