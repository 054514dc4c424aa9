// SPDX-License-Identifier: Apache-2.0

import Foundation
import SystemPackage
import Testing
import ThawFiles
import ThawTinyBackbone

/// What the page about a run says, as far as it takes a run to say it.
struct ReportTests {
  private func tuned(threads: String = "1") throws -> Workspace {
    let workspace = try Workspace(count: 8)
    try FileManager.default.moveItem(
      atPath: workspace.file("photos").string, toPath: workspace.file("it's photos").string)
    try workspace.thaw(
      "fit", "it's photos", "--run", "run 1", "--backbone", TinyBackbone.name, "--epochs",
      "head:4,fine-tune:1", "--valid", "0.3", "--threads", threads
    ).succeeded()
    return workspace
  }

  /// The text of the first element that begins with `start` behind `id`, without its tags.
  private func text(_ html: String, id: String, from start: String, to end: String) throws -> String
  {
    let part = try #require(html.split(separator: "id=\"\(id)\"", maxSplits: 1).dropFirst().first)
    let body = try #require(part.split(separator: start, maxSplits: 1).dropFirst().first)
    var (result, isTag) = ("", false)
    for character in body.split(separator: end, maxSplits: 1)[0] {
      if character == "<" { isTag = true }
      if !isTag { result.append(character) }
      if character == ">" { isTag = false }
    }
    return result.replacing("&#39;", with: "'").replacing("&quot;", with: "\"")
      .replacing("&amp;", with: "&")
  }

  @Test func theCommandOfThePageMakesTheSameModel() throws {
    let workspace = try tuned()
    let page = try workspace.text("run 1/report.html")
    let command = try text(page, id: "reproduce", from: "<pre>", to: "</pre>")
    #expect(command.hasPrefix("thaw fit '") && command.hasSuffix("--threads 1"))
    try workspace.start([], shell: "p=\"$1\"; thaw() { \"$p\" \"$@\"; }; \(command)").wait()
      .succeeded()
    #expect(
      try workspace.read("run 1-again/model.safetensors")
        == workspace.read("run 1/model.safetensors"))
    #expect(
      try workspace.text("run 1-again/predictions.csv") == workspace.text("run 1/predictions.csv"))
  }

  /// Each mistake, and nothing else, with where something spoke for the wrong class; the same every time.
  @Test func mistakesShowWhereTheNetworkLooked() throws {
    let workspace = try Workspace(count: 20)
    for number in 0..<6 {
      try workspace.addPhoto(
        "blue", kind: 1, number: 70 + number, named: "impostor\(number).png")
    }
    try workspace.fit("--valid", "0.4").succeeded()
    func pictures() throws -> [String] {
      try workspace.text("run/report.html")
        .components(separatedBy: "<img alt=\"Bright where something speaks for ").dropFirst()
        .map { String($0.prefix { $0 != ">" }) }
    }
    let shown = try pictures()
    let mistakes =
      try workspace.text("run/report.html")
      .components(separatedBy: "Predicted <strong class=\"bad\">").count - 1
    #expect(mistakes > 0 && shown.count == mistakes, "\(shown.count) of \(mistakes)")
    #expect(Set(shown).count == shown.count && shown.allSatisfy { $0.contains("data:image/jpeg") })
    try workspace.thaw("report", "--run", "run").succeeded()
    #expect(try pictures() == shown)
  }

  @Test func theCommandsForUsingTheModelWork() throws {
    let workspace = try tuned()
    let page = try workspace.text("run 1/report.html")
    try AtomicFile.write(
      workspace.file("photo.jpg"), bytes: try workspace.read("it's photos/red/0.png"))
    let use = try text(page, id: "use", from: "<h3>", to: "</section>")
    let commands = use.split(separator: "\n").filter { $0.contains("thaw ") }
      .compactMap { line in line.firstRange(of: "thaw ").map { line[$0.lowerBound...] } }
    let whole = commands.filter { $0.contains("--model") }
    #expect(whole.count == 2)
    for command in whole {
      try workspace.start([], shell: "p=\"$1\"; thaw() { \"$p\" \"$@\"; }; \(command)").wait()
        .succeeded()
    }
    #expect(FileSystem.exists(workspace.file("model.onnx")))
    #expect(use.contains("ImageClassifier(contentsOf: \"run 1/model.safetensors\")"))
  }

  @Test func aRunWithoutItsHeadOrItsThreadsStillHasAPage() throws {
    let workspace = try tuned()
    let before = try workspace.text("run 1/report.html")
    #expect(before.contains("What fine-tuning was worth") && before.contains("The head alone"))
    #expect(
      before.contains("<figure class=\"augmented\">") == before.contains("Augmentation was on"))
    try FileSystem.remove(workspace.file("run 1/checkpoints/head.safetensors"))
    let time = try workspace.text("run 1/checkpoints/time.json")
    #expect(time.contains(",\"threads\":1}"))
    try AtomicFile.write(
      workspace.file("run 1/checkpoints/time.json"),
      text: time.replacing(",\"threads\":1}", with: "}"))
    let report = try workspace.thaw("report", "--run", "run 1", "--json").json()
    #expect(report["unchanged"].bool == false)
    let page = try workspace.text("run 1/report.html")
    #expect(!page.contains("What fine-tuning was worth"))
    #expect(try !text(page, id: "reproduce", from: "<pre>", to: "</pre>").contains("--threads"))
    #expect(page.contains("Training time"))
  }

  @Test func thePageIsDatedAndJudgesByTheUntouchedPhotos() throws {
    let page = try Workspace.fitted.get().workspace.text("run/report.html")
    let year = Calendar(identifier: .gregorian).component(.year, from: Date())
    #expect(page.contains("<time datetime=\"\(year)-") || page.contains("\(year - 1)-12-31T23:"))
    #expect(page.contains("test photos right, which nothing was chosen by."))
    #expect(page.contains("Too few photos to say much"))
    #expect(!page.contains("held-out") && !page.contains(" 1 photos"))
  }

  /// It is computed once for a model and its photos.
  @Test func theMapHasEveryPhotoUntilTheModelChanges() throws {
    let workspace = try tuned()
    func buttons() throws -> Int {
      try workspace.text("run 1/report.html").split(separator: "<input type=\"radio\"").count - 1
    }
    #expect(try buttons() == 16)
    let map = try JSON(workspace.text("run 1/diagnosis_map.json"))
    #expect(map["points"].array.count == 16 && map["count"].int == 16)
    let kept = try workspace.read("run 1/diagnosis_map.json")
    let again = try workspace.thaw("report", "--run", "run 1", "--json").json()
    #expect(again["unchanged"].bool == true)
    #expect(try workspace.read("run 1/diagnosis_map.json") == kept)
    try workspace.thaw("train", "--run", "run 1", "--epochs", "2").succeeded()
    try workspace.thaw("report", "--run", "run 1").succeeded()
    let other = try JSON(workspace.text("run 1/diagnosis_map.json"))
    #expect(other["key"].string != map["key"].string && other["points"].array.count == 16)
  }
}
