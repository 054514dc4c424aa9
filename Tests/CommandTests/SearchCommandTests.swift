// SPDX-License-Identifier: Apache-2.0

import Foundation
import SystemPackage
import Testing
import ThawFiles
import ThawTestSupport
import ThawTinyBackbone

/// `thaw search` and `thaw cross-validate` on a small run.
struct SearchCommandTests {
  private let workspace: Workspace

  init() throws {
    workspace = try Workspace(classes: ["blue", "red", "green"], count: 14)
    try workspace.prepare("--test", "0.2").succeeded()
  }

  private func search(_ more: String...) throws -> Outcome {
    try workspace.start(["search", "--run", "run", "--repeats", "2"] + more).wait()
  }

  /// What a trial is, without times.
  private func trials(_ outcome: Outcome) throws -> [String] {
    try outcome.json()["trials"].array.map {
      trial in
      let parameters = trial["parameters"]
      let values = parameters.keys.map { "\($0)=\(parameters[$0].value ?? "")" }
      return "\(trial["id"].whole) \(values) \(trial["metric"].number) \(trial["rungs"].whole)"
    }
  }

  @Test func theDocumentIsAsPromisedAndFilesAreLeft() throws {
    let outcome = try search("--trials", "6", "--json")
    let result = try outcome.json()
    #expect(result["trials"].array.count == 6 && result["metric"].word == "accuracy")
    for trial in result["trials"].array {
      #expect(trial["limits"]["latency_ms"].number > 0 && trial["limits"]["size_mb"].number > 1)
      #expect(trial["seconds"].number > 0)
    }
    let best = result["best"]
    #expect(result["trials"].array.contains { $0["id"].whole == best["id"].whole })
    #expect(best["repeated"]["count"].whole == 2)
    // 3 classes of 14, a fifth for the test.
    #expect(best["test"]["count"].whole >= 6)
    // The first is the recipe as it was.
    #expect(result["trials"].array[0]["parameters"]["train.epochs"].whole == 30)
    for name in ["search.json", "search.html", "search.yml", "search.jsonl"] {
      #expect(FileSystem.exists(workspace.file("run/\(name)")), "\(name)")
    }
    #expect(try workspace.text("run/search.html").contains("All settings side by side"))
    // Again: nothing is measured anew, and the test photos judge once.
    let journal = try workspace.read("run/search.jsonl")
    #expect(try trials(search("--trials", "6", "--json")) == trials(outcome))
    #expect(try workspace.read("run/search.jsonl") == journal)
  }

  @Test func aKilledSearchGoesOnAndALongerOneBeginsAlike() throws {
    let process = try workspace.start(
      ["search", "--run", "run", "--repeats", "2", "--trials", "12"])
    for _ in 0..<600 {
      let journal = try? workspace.text("run/search.jsonl")
      if (journal?.split(separator: "\n").count ?? 0) > 4 { break }
      usleep(50_000)
    }
    kill(process.identifier, SIGKILL)
    _ = try process.wait()
    let resumed = try trials(search("--trials", "12", "--json"))
    try FileSystem.remove(workspace.file("run/search.jsonl"))
    let whole = try trials(search("--trials", "12", "--json"))
    #expect(resumed == whole && whole.count == 12)
  }

  /// Judged by the validation photos a trial is what `thaw train` makes.
  @Test func aTrialIsTheTrainingOfItsRecipe() throws {
    let result = try search("--folds", "0", "--trials", "5", "--apply", "--json").json()
    let best = result["search"]["best"]
    #expect(abs(best["metric"].number - result["train"]["best_valid_accuracy"].number) < 1e-12)
    let evaluated = try workspace.thaw("evaluate", "--run", "run", "--split", "test", "--json")
      .json()
    #expect(abs(best["test"]["accuracy"].number - evaluated["accuracy"].number) < 1e-12)
    // A search compares heads before their probabilities are calibrated.
    let before = evaluated["calibration"]["before"]["loss"].number
    #expect(abs(best["test"]["loss"].number - before) < 1e-6)
    #expect(try workspace.text("run/recipe.yml") == workspace.text("run/search.yml"))
    // Applying it does not end the search.
    let more = try search("--folds", "0", "--trials", "7", "--json").json()
    #expect(more["trials"].array.count == 7)
    #expect(more["trials"].array[0]["parameters"]["train.epochs"].whole == 30)
  }

  @Test func limitsThatNothingKeepsLeaveNoWinner() throws {
    let outcome = try search("--trials", "3", "--at-most", "size_mb=0.01", "--json")
    let result = try outcome.json()
    #expect(result["best"].isThere == false)
    #expect(result["trials"].array.allSatisfy { $0["problem"].word.contains("size_mb") })
    let applied = try search("--trials", "3", "--at-most", "size_mb=0.01", "--apply")
    #expect(applied.status == 65 && applied.stderr.contains("Allow more"))
  }

  @Test(arguments: [
    (["--at-most", "speed=3"], 64, "expected METRIC=NUMBER"),
    (["--trials", "0"], 64, "expected 1 to"), (["--folds", "1"], 64, "expected 0 or 2"),
    (["--metric", "mean_average_precision"], 64, "several labels"),
    (["--backbones", "tiny"], 64, "at least two"),
  ])
  func whatMakesNoSenseIsRefused(_ options: [String], _ status: Int32, _ words: String) throws {
    let outcome = try workspace.start(["search", "--run", "run"] + options).wait()
    #expect(outcome.status == status && outcome.stderr.contains(words), "\(outcome.stderr)")
  }

  @Test func aSpaceOfOnesOwnIsSearchedAndABadOneNamesTheLine() throws {
    try AtomicFile.write(
      workspace.file("space.yml"),
      text:
        "parameters:\n  head.dropout: {choice: [0, 0.5]}\n  fine_tune.epochs: {integer: [1, 3]}\n")
    let refused = try search("--space", "space.yml")
    #expect(refused.status == 64 && refused.stderr.contains("cannot change 'fine_tune.epochs'"))
    try AtomicFile.write(
      workspace.file("space.yml"), text: "parameters:\n  head.dropout: {choice: [0, 0.5]}\n")
    // Two words, and the recipe as it was: there is no fourth trial.
    let result = try search("--space", "space.yml", "--trials", "9", "--json").json()
    #expect(result["trials"].array.count == 3)
    try AtomicFile.write(
      workspace.file("space.yml"), text: "parameters:\n  head.drop: {choice: [0]}\n")
    #expect(try search("--space", "space.yml").stderr.contains("space.yml:2"))
  }

  @Test func everyPhotoIsJudgedOnceByOthers() throws {
    let result = try workspace.thaw("cross-validate", "--run", "run", "--folds", "4", "--json")
      .json()
    let rows = try workspace.text("run/cross_validation.csv").split(separator: "\r\n")
    let count = result["count"].whole
    // All but the test photos.
    #expect(rows.count == count + 1 && (30...36).contains(count))
    #expect(Set(rows.dropFirst().map { $0.split(separator: ",")[0] }).count == count)
    let curve = result["learning_curve"].array
    #expect(curve.count == 4 && result["fold_accuracies"].array.count == 4)
    #expect(curve[0]["photos"].whole < curve[3]["photos"].whole)
    #expect(abs(curve[3]["accuracy"].number - result["accuracy"].number) < 1e-12)
    #expect(
      result["doubled"]["photos"].whole == 2 * curve[3]["photos"].whole || result["doubled"].isThere
    )
    // What is in the table is what is counted.
    let right = rows.dropFirst().count { row in
      let cells = row.split(separator: ",")
      return cells[1] == cells[3]
    }
    #expect(abs(Double(right) / Double(count) - result["accuracy"].number) < 1e-12)
    #expect(result["per_class"].array.count == 3)
  }

  @Test func networksAreComparedAndTheRestIsSearchedOver() throws {
    try workspace.addCard("dull", scale: 1e-6)
    let result = try search("--backbones", "tiny,dull", "--trials", "4", "--json").json()
    let rows = result["backbones"].array
    #expect(Set(rows.map { $0["name"].word }) == ["tiny", "dull"])
    for row in rows {
      #expect(row["logme"].number.isFinite && row["size_mb"].number > 1)
      #expect(row["latency_ms"].number > 0)
    }
    #expect(rows[0]["accuracy"].number >= rows[1]["accuracy"].number)
    #expect(rows[0]["is_kept"].bool == true)
    let kept = Set(rows.filter { $0["is_kept"].bool == true }.map { $0["name"].word })
    for trial in result["trials"].array.dropFirst() {
      #expect(kept.contains(trial["parameters"]["backbone"].word))
    }
    let automatic = [
      "fit", "photos", "--run", "auto", "--backbone", "auto", "--epochs", "5", "--no-fine-tune",
      "--json",
    ]
    let taken = try workspace.start(automatic).wait()
    taken.succeeded()
    #expect(taken.stderr.contains("Taken: "))
    let recipe = try workspace.text("auto/recipe.yml")
    #expect(recipe.contains("backbone: \"tiny\"") || recipe.contains("backbone: \"dull\""))
    // What was chosen stays, also where another one would be as good.
    let again = try workspace.start(automatic).wait()
    again.succeeded()
    #expect(!again.stderr.contains("Taken: ") && again.stderr.contains("has a head"))
    #expect(try again.json()["train"]["unchanged"].bool == true)
  }

  /// A trial is of the weights that the card named then.
  @Test func otherWeightsOfTheSameNameAreAnotherSearch() throws {
    try TinyBackbone.write(to: workspace.file("cards"))
    let first = try search("--trials", "2", "--json")
    first.succeeded()
    let journal = try workspace.read("run/search.jsonl")
    let again = try search("--trials", "2", "--json")
    #expect(!again.stderr.contains("journal is now"))
    #expect(try workspace.read("run/search.jsonl") == journal)
    // Photos without labels have no part in it.
    let recipe = try workspace.text("run/recipe.yml")
    try AtomicFile.write(
      workspace.file("run/recipe.yml"),
      text: recipe.replacing("data:\n", with: "data:\n  unlabelled: \"more\"\n"))
    #expect(try !search("--trials", "2").stderr.contains("journal is now"))
    try TinyBackbone.write(to: workspace.file("cards"), scale: 0.5)
    let other = try search("--trials", "2")
    other.succeeded()
    #expect(other.stderr.contains("its journal is now"), "\(other.stderr)")
    #expect(try workspace.read("run/search.jsonl.former") == journal)
  }

  @Test func fitJudgesInFoldsAndTheReportShowsIt() throws {
    let fitted = try workspace.fit("--test", "0.2", "--folds", "3", "--json").json()
    #expect(fitted["cross_validation"]["folds"].whole == 3 && fitted["evaluate"]["count"].whole > 0)
    #expect(try workspace.text("run/report.html").contains("Would more photos help?"))
    let refused = try workspace.fit("--folds", "1")
    #expect(refused.status == 64 && refused.stderr.contains("expected 2 to 100"))
  }
}

extension JSON {
  fileprivate var number: Double { double ?? .nan }
  fileprivate var whole: Int { int ?? -1 }
  fileprivate var word: String { string ?? "" }
}

extension Workspace {
  /// A second card with other weights: the first convolution sees a thousandth of the contrast.
  func addCard(_ name: String, scale: Float) throws {
    let cards = file("cards")
    try TinyBackbone.write(to: file("other"), scale: scale)
    if !FileSystem.exists(cards.appending("tiny.yml")) { try TinyBackbone.write(to: cards) }
    for ending in ["yml", "safetensors"] {
      var bytes = try read("other/tiny.\(ending)")
      if ending == "yml" {
        bytes = Array(String(decoding: bytes, as: UTF8.self).replacing("tiny", with: name).utf8)
      }
      try AtomicFile.write(cards.appending("\(name).\(ending)"), bytes: bytes)
    }
  }
}
