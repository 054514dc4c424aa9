// SPDX-License-Identifier: Apache-2.0

import Foundation
import SystemPackage
import Testing
import ThawFiles
import ThawTinyBackbone

/// Stages do what changed, and nothing else.
struct IncrementalTests {
  @Test func stagesOneByOneGiveTheModelOfFit() throws {
    let workspace = try Workspace()
    try workspace.start(["fit", "photos", "--run", "whole/run"] + Workspace.recipe).wait()
      .succeeded()
    let prepared = try workspace.prepare("--json").json()
    #expect(prepared["count"].int == 24)
    #expect(prepared["unchanged"].bool == false)
    let cached = try workspace.thaw("cache", "--run", "run", "--json").json()
    #expect(cached["computed"].int == 24)
    #expect(cached["features"].int == 1280)
    let trained = try workspace.thaw("train", "--run", "run", "--json").json()
    #expect(trained["unchanged"].bool == false)
    #expect(
      try workspace.read("run/model.safetensors") == workspace.read("whole/run/model.safetensors"))
    let report = try workspace.thaw("report", "--run", "run", "--json").json()
    #expect(report["bytes"].int == (try workspace.read("run/report.html").count))
  }

  @Test func aSecondRunChangesNothing() throws {
    let workspace = try Workspace()
    try workspace.fit().succeeded()
    let files = ["model.safetensors", "manifest.json", "report.html", "history.jsonl"]
    let before = try files.map { try FileStatus(of: workspace.file("run/\($0)")) }
    let json = try workspace.fit("--json").json()
    #expect(json["prepare"]["unchanged"].bool == true)
    #expect(json["cache"]["computed"].int == 0)
    #expect(json["train"]["unchanged"].bool == true)
    #expect((json["train"]["seconds"].double ?? 0) > 0, "the time of the training that was")
    #expect(try files.map { try FileStatus(of: workspace.file("run/\($0)")) } == before)
  }

  @Test func newPhotosMoveNoOthersAndOnlyTheyAreComputed() throws {
    let workspace = try Workspace()
    try workspace.fit().succeeded()
    let before = try splits(workspace)
    for number in 100..<105 { try workspace.addPhoto("red", kind: 1, number: number) }
    let json = try workspace.fit("--json").json()
    #expect(json["prepare"]["count"].int == 29)
    #expect(json["prepare"]["unchanged"].bool == false)
    #expect(json["cache"]["computed"].int == 5)
    #expect(json["train"]["unchanged"].bool == false)
    let after = try splits(workspace)
    #expect(after.count == 29)
    #expect(before.allSatisfy { after[$0.key] == $0.value })
  }

  private func splits(_ workspace: Workspace) throws -> [String: String] {
    let records = try JSON(workspace.text("run/manifest.json"))["records"].array
    return Dictionary(
      uniqueKeysWithValues: try records.map {
        (try #require($0["path"].string), try #require($0["split"].string))
      })
  }

  @Test func featuresBelongToWeightsAndSize() throws {
    let workspace = try Workspace(count: 4)
    try TinyBackbone.write(to: workspace.file("cards"))
    func computed(_ options: String...) throws -> Int? {
      try workspace.start(
        ["prepare", "photos", "--run", "run", "--backbone", "tiny"] + options
      ).wait().succeeded()
      return try workspace.thaw("cache", "--run", "run", "--json").json()["computed"].int
    }
    #expect(try computed() == 8)
    #expect(try computed("--size", "40") == 8)
    #expect(try computed("--size", "32") == 0, "features of both sizes are kept")
    try TinyBackbone.write(to: workspace.file("cards"), scale: 1.5)
    #expect(try computed("--size", "32") == 8)
  }

  @Test func anotherRecipeTrainsAnew() throws {
    let workspace = try Workspace()
    try workspace.fit().succeeded()
    let model = try workspace.read("run/model.safetensors")
    let json = try workspace.thaw("train", "--run", "run", "--epochs", "31", "--json").json()
    #expect(json["epochs"].int == 31)
    #expect(try workspace.read("run/model.safetensors") != model)
    let again = try workspace.thaw("train", "--run", "run", "--json").json()
    #expect(again["unchanged"].bool == true, "the run keeps the recipe that was changed last")
  }

  @Test func aClassMayComeLaterAndCachedFeaturesStay() throws {
    let workspace = try Workspace()
    try workspace.fit().succeeded()
    for number in 0..<12 { try workspace.addPhoto("amber", kind: 2, number: number) }
    let outcome = try workspace.fit("--json")
    let json = try outcome.json()
    #expect(json["prepare"]["classes"].array.map { $0["name"].string } == ["blue", "red", "amber"])
    #expect(json["prepare"]["classes"][2]["valid"].int == 2)
    #expect(json["cache"]["computed"].int == 12)
    #expect(outcome.stderr.contains("New classes: 'amber'"), "\(outcome.stderr)")
    let report = try workspace.text("run/report.html")
    #expect(report.contains("Compared with the model before"))
    #expect(report.contains("Of the 4 held-out photos of the other classes it had"))
  }

  @Test func bytesThatChangedUnderRestoredTimesAreFoundWhenAskedFor() throws {
    let workspace = try Workspace()
    try workspace.prepare().succeeded()
    let change =
      "cp -p photos/red/3.png before && printf x | dd of=photos/red/3.png bs=1 seek=100 conv=notrunc"
      + " 2> dd.log && touch -r before photos/red/3.png && \"$@\""
    func prepare(_ options: String..., shell: String? = nil) throws -> JSON {
      try workspace.start(
        ["prepare", "photos", "--run", "run", "--on-bad-image", "skip", "--json"] + options,
        shell: shell
      ).wait().json()
    }
    #expect(try prepare(shell: change)["unchanged"].bool == true, "the documented limit")
    let found = try prepare("--verify", "contents")
    #expect(found["unchanged"].bool == false && found["bad"][0]["path"].string == "red/3.png")
  }
}
