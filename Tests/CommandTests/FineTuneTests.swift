// SPDX-License-Identifier: Apache-2.0

import SystemPackage
import Testing
import ThawFiles
import ThawImages
import ThawTraining

/// Thawing, the learning-rate finder and the preview of augmentation, as commands.
@Suite struct FineTuneTests {
  @Test func thawingTrainsTheGroupsItNamesAndLeavesTheHeadsModel() throws {
    let workspace = try Workspace()
    try workspace.fit().succeeded()
    let head = try workspace.read("run/checkpoints/head.safetensors")
    #expect(try workspace.read("run/model.safetensors") == head)

    let tuned = try workspace.thaw(
      "fine-tune", "--run", "run", "--freeze-to", "-2", "--epochs", "2", "--learning-rate", ":0.01",
      "--augmentation", "none", "--json"
    ).json()
    #expect(tuned["epochs"].int == 2)
    #expect(tuned["cached"].bool == true)
    #expect(tuned["unchanged"].bool == false)
    #expect(tuned["plan"].array.map { $0["group"].string } == ["early", "middle", "late", "head"])
    let trains = tuned["plan"].array.map { ($0["trainable"].int ?? 0) > 0 }
    #expect(trains == [false, false, true, true])
    #expect(tuned["plan"][3]["learning_rate"].double == 0.01)
    #expect(tuned["plan"][2]["learning_rate"].double == 0.001)
    #expect(tuned["plan"][0]["batch_norm"].string == "inference")
    #expect(try workspace.read("run/checkpoints/head.safetensors") == head)

    let again = try workspace.thaw("fine-tune", "--run", "run", "--json").json()
    #expect(again["unchanged"].bool == true)
    #expect(try workspace.thaw("train", "--run", "run", "--json").json()["unchanged"].bool == true)
    try workspace.thaw("evaluate", "--run", "run", "--json").succeeded()
    try workspace.thaw("report", "--run", "run").succeeded()
  }

  @Test func aTunedModelIsJudgedTheSameFromTheRunAndFromItsFile() throws {
    let workspace = try Workspace()
    try workspace.fit("--valid", "0.3").succeeded()
    // Batch norms that train move every number, whether or not the loss falls.
    try workspace.thaw(
      "fine-tune", "--run", "run", "--unfreeze", "--epochs", "1", "--augmentation", "photo",
      "--views", "1", "--trainable-batch-norm", "training", "--json"
    ).succeeded()
    let table = try workspace.text("run/predictions.csv").split(separator: "\r\n").dropFirst()
    let photo = try #require(table.first).prefix { $0 != "," }
    try workspace.thaw("evaluate", "--run", "run", "--json").succeeded()
    let row = try #require(
      try workspace.text("run/predictions.csv").split(separator: "\r\n").first {
        $0.hasPrefix(photo)
      })
    let predicted = try workspace.thaw(
      "predict", "--model", "run/model.safetensors", "photos/\(photo)", "--json"
    ).json()
    let fields = row.split(separator: ",").map(String.init)
    #expect(predicted[0]["label"].string == fields[3])
    #expect(
      abs((predicted[0]["probability"].double ?? 0) - (Double(fields[4]) ?? 1)) < 1e-6)
  }

  @Test func planOnlyTrainsNothing() throws {
    let workspace = try Workspace(count: 4)
    try workspace.fit().succeeded()
    let model = try workspace.read("run/model.safetensors")
    let plan = try workspace.thaw(
      "fine-tune", "--run", "run", "--unfreeze-groups", "middle,head", "--plan-only", "--json"
    ).json()
    #expect(plan.array.map { ($0["trainable"].int ?? 0) > 0 } == [false, true, false, true])
    #expect(try workspace.read("run/model.safetensors") == model)
  }

  @Test(arguments: [
    (["--unfreeze-groups", "neck"], Int32(65), "no layer group is called 'neck'"),
    (["--unfreeze", "--freeze-to", "1"], 64, "contradict each other"),
    (["--solver", "lbfgs"], 64, "--solver lbfgs has no effect"),
  ])
  func wrongPlansAreRefused(options: [String], code: Int32, message: String) throws {
    let workspace = try Workspace(count: 4)
    try workspace.fit().succeeded()
    let outcome = try workspace.start(["fine-tune", "--run", "run"] + options).wait()
    #expect(outcome.status == code)
    #expect(outcome.stderr.contains(message), "\(outcome.stderr)")
  }

  @Test func fineTuningNeedsATrainedHead() throws {
    let workspace = try Workspace(count: 4)
    try workspace.prepare().succeeded()
    let outcome = try workspace.thaw("fine-tune", "--run", "run")
    #expect(outcome.status == 65)
    #expect(outcome.errors.count == 1)
    #expect(outcome.stderr.contains("Run first: thaw train --run run"))
  }

  @Test func findingALearningRateChangesNothingElse() throws {
    let workspace = try Workspace()
    try workspace.fit().succeeded()
    let model = try workspace.read("run/model.safetensors")
    let search = try workspace.thaw("find-lr", "--run", "run", "--json").json()
    #expect(search["learning_rates"].array.count == search["losses"].array.count)
    #expect(search["learning_rates"].array.count > 6)
    #expect(search["suggestions"].keys.contains("valley"))
    #expect(try workspace.read("run/model.safetensors") == model)
    #expect(try workspace.thaw("train", "--run", "run", "--json").json()["unchanged"].bool == true)
    try workspace.thaw("report", "--run", "run").succeeded()
    #expect(try workspace.text("run/report.html").contains("Loss over the learning rate"))
  }

  @Test func thePreviewIsAPictureOfTheAskedForSize() throws {
    let workspace = try Workspace(count: 4)
    try workspace.prepare().succeeded()
    let summary = try workspace.thaw(
      "augment", "--run", "run", "--preview", "sheet.png", "--augmentation", "photo", "--photos",
      "2", "--draws", "3", "--json"
    ).json()
    #expect(summary["augmentation"].string == "photo")
    #expect(!summary["operations"].array.isEmpty)
    let sheet = try ImageDecoder.decode(
      try FileSystem.read(workspace.file("sheet.png")), options: DecodeOptions())
    #expect(sheet.image.size.width == 2 * sheet.image.size.height - 4)
  }
}
