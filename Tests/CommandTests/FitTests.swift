// SPDX-License-Identifier: Apache-2.0

import Foundation
import SystemPackage
import Testing
import ThawFiles
import ThawTinyBackbone

/// What `thaw fit` and the stages print and leave behind.
struct FitTests {
  private let fitted: FittedWorkspace
  private var workspace: Workspace { fitted.workspace }

  init() throws { fitted = try Workspace.fitted.get() }

  @Test func fitLeavesEveryArtifactAndPrintsOneDocument() throws {
    let json = try fitted.outcome.json()
    // What is said of the result is there when there is anything to say.
    #expect(
      json.keys.filter { !["advice", "caution"].contains($0) } == [
        "cache", "evaluate", "model", "prepare", "report", "run", "train",
      ])
    #expect(json["model"].string == "run/model.safetensors")
    for name in [
      "recipe.yml", "manifest.json", "history.jsonl", "model.safetensors", "metrics.json",
      "predictions.csv", "report.html", "bad_files.tsv",
    ] {
      #expect(FileSystem.exists(workspace.file("run").appending(name)), "\(name)")
    }
    let names = try FileSystem.list(workspace.file("run")).map(\.string)
    #expect(!names.contains { $0.contains(".tmp.") })
  }

  @Test func classesThatLookDifferentAreToldApart() throws {
    let evaluation = try fitted.outcome.json()["evaluate"]
    #expect((evaluation["accuracy"].double ?? 0) >= 0.8)
  }

  @Test func evaluateHasTheDocumentedKeys() throws {
    let json = try fitted.evaluation.json()
    for key in [
      "split", "count", "accuracy", "loss", "macro_f1", "auc", "per_class", "confusion",
    ] {
      #expect(json[key].isThere, "\(key)")
    }
    #expect(json["split"].string == "test")
    #expect(
      json["count"].int
        == json["confusion"].array.reduce(0) { sum, row in
          sum + row.array.reduce(0) { $0 + ($1.int ?? 0) }
        })
    #expect(
      json["per_class"].array.map { $0["name"].string } == [
        "blue", "green stripes 🌿", "red",
      ])
    for key in ["name", "count", "precision", "recall", "f1"] {
      #expect(json["per_class"][0][key].isThere, "\(key)")
    }
  }

  @Test func trainHasTheDocumentedKeys() throws {
    let json = try fitted.outcome.json()["train"]
    #expect(json["epochs"].int == 30)
    #expect(json["trainable_parameters"].int == 1280 * 3 + 3)
    #expect(json["cached"].bool == true)
    #expect((json["images_per_second"].double ?? 0) > 0)
    #expect((json["seconds"].double ?? 0) > 0)
    #expect((0...1).contains(json["best_valid_accuracy"].double ?? -1))
  }

  @Test func predictHasTheDocumentedKeys() throws {
    let json = try workspace.thaw(
      "predict", "--model", "run/model.safetensors", "photos/red/0.png", "photos/blue", "--json",
      "--top", "2"
    ).json()
    #expect(json.array.count == 13)
    #expect(
      json[0].keys == [
        "label", "path", "probability", "top", "unknown", "unknown_score", "unknown_threshold",
      ])
    #expect(json[0]["path"].string == "photos/red/0.png")
    #expect(json[0]["top"].array.count == 2)
    #expect(json[0]["top"][0].keys == ["label", "probability"])
    #expect(json[0]["top"][0]["label"].string == json[0]["label"].string)
    #expect(json[0]["top"][0]["probability"].double == json[0]["probability"].double)
  }

  @Test func historyHasEveryEpochOnce() throws {
    let epochs = try workspace.text("run/history.jsonl").split(separator: "\n").map {
      try JSON(String($0))["epoch"].int
    }
    #expect(epochs == Array(0..<30))
  }

  @Test func evaluationOfTheRunEqualsEvaluationOfTheModel() throws {
    // The photos of the test split, as a folder of their own.
    let table = try workspace.text("run/predictions.csv").split(separator: "\r\n").dropFirst()
    let folder = workspace.file("held-out")
    for line in table {
      let path = FilePath(String(line.prefix { $0 != "," }))
      try FileSystem.createDirectory(folder.pushing(path).removingLastComponent())
      try AtomicFile.write(
        folder.pushing(path), bytes: try FileSystem.read(workspace.file("photos").pushing(path)))
    }
    let ofRun = try fitted.evaluation.json()
    let ofModel = try workspace.thaw(
      "evaluate", "--model", "run/model.safetensors", "--data", "held-out", "--json"
    ).json()
    #expect(ofRun["count"].int == table.count)
    #expect(ofRun["accuracy"].double == ofModel["accuracy"].double)
    #expect(ofRun["loss"].double == ofModel["loss"].double)
    #expect(ofModel["split"].string == "all")
  }

  @Test func aPredictionDoesNotDependOnTheOtherPhotos() throws {
    let model = ["predict", "--model", "run/model.safetensors", "--json", "--logits"]
    let all = try workspace.start(model + ["photos"]).wait().json().array
    #expect(all.count == 36)
    for name in ["photos/red/3.png", "photos/blue/11.png"] {
      let one = try workspace.start(model + [name]).wait().json()[0]
      let same = try #require(all.first { $0["path"].string == name })
      #expect(one["logits"].array.map(\.double) == same["logits"].array.map(\.double))
      #expect(one["probability"].double == same["probability"].double)
    }
  }

  @Test func everyStageHasItsHeading() throws {
    let workspace = try Workspace()
    let first = try workspace.fit()
    for heading in [
      "1/4 Looking at the photos", "2/4 Training a head on the frozen backbone",
      "3/4 Judging the model", "4/4 Writing the report",
    ] { #expect(first.stderr.contains("\n\(heading)\n"), "\(heading) in \(first.stderr)") }
    #expect(first.stderr.contains("validation photos that it has not learned from"))
    #expect(!first.stderr.contains("\u{1B}"))
    let again = try workspace.fit()
    #expect(!again.stderr.contains("/4 "), "\(again.stderr)")
  }

  /// A head is cheap to solve anew, so that the estimate stands beside the accuracy.
  @Test func aHeadIsCrossValidated() throws {
    let workspace = try Workspace()
    let fitted = try workspace.fit("--json").json()
    let held = fitted["evaluate"]["cross_validation"]
    #expect(held["count"].int == 24 && held["correct"].int ?? 0 >= 18)
    #expect(fitted["caution"].string?.contains("In cross-validation") == true)
    #expect(try workspace.text("run/report.html").contains("In cross-validation"))
    // Test photos were chosen by nothing, so that they need no other number beside them.
    let tested = try self.fitted.evaluation.json()
    #expect(!tested["cross_validation"].isThere)
  }

  /// Beside folders that say which photo is for what, `--test` is an error, so it must not be advised.
  @Test func adviceAboutAnUntouchedNumberFitsTheFolders() throws {
    let workspace = try Workspace(classes: ["train/blue", "train/red", "valid/blue", "valid/red"])
    let few = try workspace.fit()
    #expect(few.status == 0, "\(few.stderr)")
    #expect(few.stdout.contains("put photos aside in a folder 'test'"))
    #expect(!few.stdout.contains("--test 0.2"))
    let again = try workspace.fit()
    #expect(again.stdout.hasPrefix("The model is up to date: "))
    // A solver that looks at no validation photo has chosen nothing by them.
    let exact = try workspace.thaw(
      "fit", "photos", "--run", "exact", "--backbone", TinyBackbone.name, "--no-fine-tune",
      "--solver", "lbfgs")
    #expect(exact.status == 0 && !exact.stdout.contains("chose the weights"), "\(exact.stdout)")
  }
}
