// SPDX-License-Identifier: Apache-2.0

import Foundation
import SystemPackage
import Testing
import ThawCheckpoints
import ThawFiles
import ThawNetwork
import ThawTestSupport

/// Photos that may have several labels, through the command: from a table to a model, what it says, and
/// what becomes of it.
struct SeveralLabelsTests {
  /// Twelve photos each of blue and red, all of which have a second label by their number. Number 0 of
  /// each has none at all.
  static func labels(_ kind: String, _ number: Int) -> [String] {
    number == 0 ? [] : [kind] + (number % 2 == 0 ? ["even"] : [])
  }

  static func table(_ separator: String = "|") -> String {
    "path,labels\n"
      + ["blue", "red"].flatMap { kind in
        (0..<12).map { "\(kind)/\($0).png,\(labels(kind, $0).joined(separator: separator))\n" }
      }.joined()
  }

  private static func labelled() throws -> Workspace {
    let workspace = try Workspace()
    try AtomicFile.write(workspace.file("labels.csv"), text: table())
    return workspace
  }

  /// A finished run, shared by tests that change nothing in it.
  static let fitted = Result { () throws -> FittedWorkspace in
    let workspace = try labelled()
    let outcome = try workspace.fit("--labels", "labels.csv", "--json", "--valid", "0.3")
    let evaluation = try workspace.thaw("evaluate", "--run", "run", "--json")
    return FittedWorkspace(workspace: workspace, outcome: outcome, evaluation: evaluation)
  }

  private func predict(_ workspace: Workspace, _ model: String, _ more: String...) throws -> Outcome
  {
    try workspace.start(["predict", "--model", model] + more).wait()
  }

  @Test func aTableBecomesAModelWithMeasures() throws {
    let fitted = try Self.fitted.get()
    let json = try fitted.outcome.json()
    #expect(json["prepare"]["several_labels"].bool == true)
    #expect(
      json["prepare"]["classes"].array.compactMap { $0["name"].string } == ["blue", "even", "red"])
    #expect(fitted.outcome.stderr.contains("Several labels a photo: 3 classes"))
    let result = json["evaluate"]
    let precision = try #require(result["mean_average_precision"].double)
    #expect(precision > 0.6 && precision <= 1)
    #expect(result["per_class"].array.count == 3 && !result["confusion"].isThere)
    let blue = result["per_class"][0]
    #expect(blue["name"].string == "blue" && blue["average_precision"].double ?? 0 > 0.5)
    let counts = blue["counts"]
    let known = ["true_positives", "false_positives", "false_negatives", "true_negatives"]
      .compactMap { counts[$0].int }.reduce(0, +)
    #expect(known == result["count"].int)
    let together = result["co_occurrence"]
    #expect(together[0][0].int == blue["count"].int && together[0][2].int == 0)
    #expect(try fitted.evaluation.json()["mean_average_precision"].double == precision)
    let metrics = try JSON(fitted.workspace.text("run/metrics.json"))
    #expect(metrics["latest"]["mean_average_precision"].double == precision)
    let predictions = try fitted.workspace.text("run/predictions.csv")
    #expect(predictions.hasPrefix("path,split,class,label,prediction,probability,threshold"))
  }

  @Test func theReportShowsMeasuresThresholdsAndPairs() throws {
    let report = try Self.fitted.get().workspace.text("run/report.html")
    for text in [
      "Mean average precision", "Threshold", "Which labels go together", "Rightly not found",
    ] { #expect(report.contains(text), "\(text)") }
    #expect(!report.contains("What is taken for what"))
  }

  @Test func theModelFileSaysWhatItsOutputsAre() throws {
    let fitted = try Self.fitted.get()
    let (record, _) = try ModelFile.read(fitted.workspace.file("run/model.safetensors"))
    #expect(record.outputActivation.allowsSeveralLabels && record.thresholds.count == 3)
  }

  @Test func photosGetAListAndExportsTheSame() throws {
    let workspace = try Self.fitted.get().workspace
    let model = "run/model.safetensors"
    let json = try predict(workspace, model, "photos", "--json", "--tta", "3").json()
    #expect(json.array.count == 24)
    var right = 0
    for one in json.array {
      #expect(!one["label"].isThere && one["top"].array.count == 3)
      let labels = one["labels"].array.compactMap { $0["label"].string }
      let probabilities = one["labels"].array.compactMap { $0["probability"].double }
      #expect(labels.count == probabilities.count && probabilities == probabilities.sorted(by: >))
      let isBlue = one["path"].string?.contains("blue") ?? false
      if isBlue == labels.contains("blue") { right += 1 }
    }
    #expect(right >= 20, "\(right)")
    let output = try TemporaryDirectory()
    let plain = try predict(workspace, model, "photos", "--json").json()
    for (format, name) in [("onnx", "model.onnx"), ("safetensors", "other.safetensors")] {
      let file = output.path.appending(name).string
      let exported = try workspace.thaw(
        "export", "--model", model, "--to", format, "--output", file, "--json"
      ).json()
      #expect(exported["output_activation"].string == "independent_sigmoids")
      let again = try predict(workspace, file, "photos", "--json").json()
      for (one, other) in zip(plain.array, again.array) {
        #expect(
          one["labels"].array.map { $0["label"].string }
            == other["labels"].array.map { $0["label"].string })
      }
    }
    let csv = try predict(workspace, model, "photos/blue/3.png", "--format", "csv").stdout
    #expect(csv.hasPrefix("path,label,probability") && csv.contains("photos/blue/3.png,"))
    let text = try predict(workspace, model, "photos/blue/3.png").stdout
    #expect(text.contains("photos/blue/3.png  "))
  }

  @Test func aModelIsJudgedByATable() throws {
    let workspace = try Self.labelled()
    let model = try Self.fitted.get().workspace.file("run/model.safetensors").string
    let arguments = ["evaluate", "--model", model, "--data", "photos"]
    let json = try workspace.start(arguments + ["--labels", "labels.csv", "--json"]).wait().json()
    #expect(json["count"].int == 24 && json["mean_average_precision"].double ?? 0 > 0.6)
    // A class that the table has no column for is not judged, nor is what is unknown.
    let columns =
      "path,blue,red\n"
      + (0..<12).map { "blue/\($0).png,1,\($0 == 3 ? "" : "0")\nred/\($0).png,0,1\n" }.joined()
    try AtomicFile.write(workspace.file("columns.csv"), text: columns)
    let part = try workspace.start(arguments + ["--labels", "columns.csv", "--json"]).wait()
    #expect(part.stderr.contains("no column for 'even'"), "\(part.stderr)")
    let classes = try part.json()["per_class"]
    #expect(!classes[1]["average_precision"].isThere && classes[1]["name"].string == "even")
    #expect(classes[2]["counts"]["true_negatives"].int.map { $0 < 12 } == true)
    // Folders say one label.
    let folders = try workspace.start(arguments).wait()
    #expect(folders.status == 65 && folders.stderr.contains("with --labels"), "\(folders.stderr)")
    let single = try Workspace.fitted.get().workspace.file("run/model.safetensors").string
    let other = try workspace.start(
      ["evaluate", "--model", single, "--data", "photos", "--labels", "labels.csv"]
    ).wait()
    #expect(other.status == 65 && other.stderr.contains("gives one label a photo"))
  }

  @Test func fineTuningAndTheExactSolverWork() throws {
    let workspace = try Self.labelled()
    try workspace.prepare("--labels", "labels.csv", "--valid", "0.3").succeeded()
    try workspace.thaw("find-lr", "--run", "run", "--iterations", "12").succeeded()
    let solved = try workspace.thaw(
      "train", "--run", "run", "--solver", "lbfgs", "--class-weights", "balanced", "--json")
    #expect(try solved.json()["several_labels"].bool == true)
    let loss = try #require(try solved.json()["best_valid_loss"].double)
    #expect(loss < 0.69)
    let tuned = try workspace.thaw(
      "fine-tune", "--run", "run", "--epochs", "2", "--mixing", "mixup", "--json")
    #expect(try tuned.json()["best_valid_loss"].double ?? 9 <= loss)
    let evaluated = try workspace.thaw("evaluate", "--run", "run")
    #expect(evaluated.stdout.contains("mean average precision"), "\(evaluated.stderr)")
    let report = try workspace.thaw("report", "--run", "run")
    report.succeeded()
  }

  /// Everything that compares classes of which a photo has one says so.
  @Test(arguments: ["batchnorm", "preprocessing", "fit"])
  func diagnosesRefuseWithTheReason(kind: String) throws {
    let workspace = try Self.fitted.get().workspace
    let model = workspace.file("run/model.safetensors").string
    let outcome = try workspace.thaw("diagnose", kind, "--model", model, "--data", "photos")
    #expect(outcome.status == 65 && outcome.stderr.contains("several labels a photo"))
  }

  /// Whatever is asked of a review, before anything is computed. One after the other: a run directory is used
  /// by one process at a time.
  @Test func aReviewIsRefusedWithWhatToDoInstead() throws {
    let workspace = try Self.fitted.get().workspace
    for options in [[], ["--gain"], ["--apply-to-files", "move"]] {
      let outcome = try workspace.start(["review", "--run", "run"] + options).wait()
      #expect(outcome.status == 64 && outcome.errors.count == 1, "\(outcome.stderr)")
      #expect(outcome.stderr.contains("Correct") && outcome.stderr.contains("predictions.csv"))
    }
  }

  /// Nor does the end of a training advise what is refused.
  @Test func nothingIsAdvisedThatIsRefused() throws {
    let workspace = try Self.labelled()
    let outcome = try workspace.fit("--labels", "labels.csv", "--valid", "0.3")
    outcome.succeeded()
    #expect(outcome.stdout.contains("Look at it:"))
    #expect(!outcome.stdout.contains("thaw diagnose"), "\(outcome.stdout)")
  }

  /// A run that changes from one label a photo to several does not use the model of before.
  @Test func aModelOfOneLabelIsNotTakenForOneOfSeveral() throws {
    let workspace = try Workspace()
    let rows = ["blue", "red"].flatMap { name in (0..<12).map { "\(name)/\($0).png,\(name)\n" } }
    try AtomicFile.write(workspace.file("labels.csv"), text: "path,labels\n" + rows.joined())
    try workspace.fit("--labels", "labels.csv").succeeded()
    try workspace.prepare("--labels", "labels.csv", "--several-labels", "yes").succeeded()
    let stale = try workspace.thaw("evaluate", "--run", "run")
    #expect(stale.status == 65 && stale.stderr.contains("another number of labels a photo"))
    let json = try workspace.fit(
      "--labels", "labels.csv", "--several-labels", "yes", "--json"
    ).json()
    #expect(json["train"]["unchanged"].bool == false)
    #expect(json["evaluate"]["mean_average_precision"].double ?? 0 > 0.9)
  }

  @Test func optionsWithoutEffectAreErrors() throws {
    let workspace = try Self.labelled()
    for (options, reason) in [
      (["--several-labels", "yes"], "a folder is one label"),
      (["--label-separator", "|"], "there is no table of labels"),
      (["--labels", "labels.csv", "--label-separator", "ab"], "is not one character"),
      (
        ["--labels", "labels.csv", "--label-separator", "|", "--several-labels", "no"],
        "contradict each other"
      ),
    ] {
      let outcome = try workspace.start(
        ["prepare", "photos", "--run", "none"] + Workspace.recipe + options
      ).wait()
      #expect(outcome.status == 64 && outcome.stderr.contains(reason), "\(outcome.stderr)")
    }
  }
}
