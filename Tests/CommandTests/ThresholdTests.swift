// SPDX-License-Identifier: Apache-2.0

import Foundation
import SystemPackage
import Testing
import ThawCheckpoints
import ThawFiles
import ThawTestSupport

/// Thresholds and costs through the command.
struct ThresholdTests {
  private let fitted: Workspace
  private let workspace: Workspace

  init() throws {
    fitted = try Workspace.fitted.get().workspace
    workspace = try Workspace(count: 3)
    try AtomicFile.write(
      workspace.file("model.safetensors"), bytes: try fitted.read("run/model.safetensors"))
  }

  private func predict(_ more: String...) throws -> Outcome {
    try workspace.start(["predict", "--model", "model.safetensors", "photos"] + more).wait()
  }

  /// No photo of "red" is so probable.
  @Test func aPhotoBelowItsThresholdIsUndecided() throws {
    let json = try predict("--threshold", "red=1", "--threshold", "blue=0", "--json").json().array
    #expect(json.count == 6)
    for one in json {
      let isRed = one["path"].string?.contains("red/") == true
      #expect(one["undecided"].bool == isRed && one["probability"].isThere != isRed)
      #expect(one["label"].string == (isRed ? "undecided" : "blue"))
      #expect(isRed ? one["top"][0]["label"].string == "red" : true)
    }
    let text = try predict("--threshold", "red=1")
    #expect(text.stdout.contains("undecided; most probable: red "))
    #expect(
      text.stderr.contains("Labels are given by thresholds: 'red' from a probability of 1.000 on"))
    #expect(try !predict("--json").json()[0]["undecided"].isThere)
  }

  @Test func aLowThresholdAnswersThoughAnotherIsMoreProbable() throws {
    let json = try predict("--threshold", "red=1e-30", "--json").json().array
    #expect(json.allSatisfy { $0["label"].string == "red" && $0["undecided"].bool == false })
    #expect(json.contains { $0["top"][0]["label"].string == "blue" })
    #expect(
      try predict("--threshold", "red=1e-30").stdout.contains("by its threshold; all: blue"))
  }

  @Test(arguments: [
    ("red", "expected CLASS=NUMBER"), ("red=2", "from 0 to 1"), ("=0.5", "expected CLASS=NUMBER"),
    ("pink=0.5", "does not know 'pink'"),
  ])
  func aThresholdThatMakesNoSenseIsRefused(_ text: String, _ reason: String) throws {
    let outcome = try predict("--threshold", text)
    #expect(outcome.status == 64 && outcome.stderr.contains(reason), "\(outcome.stderr)")
    #expect(try predict("--threshold", "red=0.5", "--threshold", "red=0.6").status == 64)
  }

  @Test func chosenThresholdsAreStoredAppliedAndTakenAway() throws {
    let arguments = ["evaluate", "--model", "model.safetensors", "--data", "photos"]
    let chosen = try workspace.start(
      arguments + ["--precision", "red=0.9", "--store-thresholds", "--json"]
    ).wait().json()
    let one = chosen["thresholds"][0]
    #expect(one["name"].string == "red" && one["measure"].string == "precision")
    #expect(one["wanted"].double == 0.9 && one["precision"].double == 1)
    #expect(one["precision_interval"].array.count == 2 && one["count"].int == 6)
    let threshold = try #require(one["threshold"].double)
    #expect(chosen["decisions"]["confusion"].array.count == 3)
    #expect(chosen["precision_recall"].array.count == 2)
    let record = try ModelFile.read(workspace.file("model.safetensors")).record
    let metadata = try CheckpointReader.read(workspace.file("model.safetensors")).metadata
    #expect(metadata["thaw.format"] == "3" && record.thresholds.count == 3)
    let index = try #require(record.classNames.firstIndex(of: "red"))
    #expect(abs(Double(record.thresholds[index]) - threshold) < 1e-6)
    let said = try predict()
    #expect(said.stderr.contains("chosen for a precision of 90.0"), "\(said.stderr)")
    #expect(try predict("--json").json().array.allSatisfy { $0["undecided"].isThere })
    // The exported graph keeps them, and so does evaluation.
    try workspace.thaw("export", "--model", "model.safetensors", "--output", "m.onnx").succeeded()
    let exported = try workspace.thaw("predict", "--model", "m.onnx", "photos", "--json").json()
    #expect(exported[0]["undecided"].isThere)
    #expect(try workspace.start(arguments).wait().stdout.contains("By these thresholds"))
    try workspace.start(arguments + ["--threshold", "red=0", "--store-thresholds"]).wait()
      .succeeded()
    let after = try CheckpointReader.read(workspace.file("model.safetensors")).metadata
    #expect(after["thaw.format"] == "1" && after["thaw.thresholds"] == nil)
    #expect(after["thaw.threshold_choice"] == nil)
    #expect(
      try workspace.read("model.safetensors") == fitted.read("run/model.safetensors"))
  }

  @Test func whatHasNoEffectOrCannotBeIsSaid() throws {
    let arguments = ["evaluate", "--model", "model.safetensors", "--data", "photos"]
    let idle = try workspace.start(arguments + ["--store-thresholds"]).wait()
    #expect(idle.status == 64 && idle.stderr.contains("no effect"))
    let few = try workspace.start(arguments + ["--recall", "green stripes 🌿=0.5"]).wait()
    #expect(few.status == 65 && few.stderr.contains("0 of 6 all photos"), "\(few.stderr)")
  }

  @Test func costsAreSaidWithTheCheapestAnswers() throws {
    try AtomicFile.write(
      workspace.file("costs.csv"),
      text: "label,blue,red,green stripes 🌿,undecided\nblue,0,1,1,0.1\nred,5,0,5,0.1\n"
        + "green stripes 🌿,1,1,0,0.1\n")
    let arguments = ["evaluate", "--model", "model.safetensors", "--data", "photos"]
    let json = try workspace.start(arguments + ["--costs", "costs.csv", "--json"]).wait().json()
    let costs = json["costs"]
    #expect(costs["class_names"].array.count == 3 && costs["costs"][1][0].double != nil)
    #expect(costs["answers"]["confusion"].array.count == 3)
    let (cheapest, plain) = (
      try #require(costs["cheapest"]["mean"].double),
      try #require(costs["most_probable"]["mean"].double)
    )
    #expect(cheapest <= max(plain, 0.1) + 1e-9)
    let text = try workspace.start(arguments + ["--costs", "costs.csv"]).wait().stdout
    #expect(text.contains("with the cheapest answers") && text.contains("By the cheapest answers"))
    try AtomicFile.write(workspace.file("costs.csv"), text: "label,blue,red\nblue,0,1\nred,1,0\n")
    let refused = try workspace.start(arguments + ["--costs", "costs.csv"]).wait()
    #expect(refused.status == 65 && refused.errors.count == 1)
    #expect(refused.stderr.contains("costs.csv:1: there is no column for the class 'green"))
  }
}
