// SPDX-License-Identifier: Apache-2.0

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
}
