// SPDX-License-Identifier: Apache-2.0

import SystemPackage
import Testing
import ThawFiles
import ThawTestSupport

/// Labels from a table, and photos that belong together, through the command.
struct LabelTests {
  @Test func aTableOfLabelsGivesTheModelOfFolders() throws {
    let workspace = try Workspace()
    try workspace.fit().succeeded()
    let rows = (0..<12).flatMap { number in ["red", "blue"].map { "\($0)/\(number).png,\($0)" } }
    try AtomicFile.write(
      workspace.file("labels.csv"), text: "image,label\n" + rows.joined(separator: "\n"))
    let before = try workspace.read("run/manifest.json")
    let model = try workspace.read("run/model.safetensors")
    let json = try workspace.fit("--labels", "labels.csv", "--json").json()
    #expect(json["prepare"]["unchanged"].bool == true && json["train"]["unchanged"].bool == true)
    #expect(try workspace.read("run/manifest.json") == before)
    #expect(try workspace.read("run/model.safetensors") == model)
  }

  /// Read in place: as a zip, as a tar, and compressed as a whole.
  @Test func anArchiveGivesTheModelOfItsFolder() throws {
    let workspace = try Workspace()
    try workspace.fit().succeeded()
    let model = try workspace.read("run/model.safetensors")
    let commands = [
      "photos.tar": "tar cf photos.tar -C photos .",
      "photos.tar.gz": "tar czf photos.tar.gz photos",
    ]
    var zip = ZIPBytes()
    for name in ["blue", "red"] {
      for number in 0..<12 {
        zip.add("\(name)/\(number).png", try workspace.read("photos/\(name)/\(number).png"))
      }
    }
    try AtomicFile.write(workspace.file("photos.zip"), bytes: zip.bytes)
    for name in ["photos.zip", "photos.tar", "photos.tar.gz"] {
      let arguments = ["fit", name, "--run", "in \(name)/run"] + Workspace.recipe
      let shell = commands[name].map { "\($0) && \"$@\"" }
      try workspace.start(arguments, shell: shell).wait().succeeded()
      #expect(try workspace.read("in \(name)/run/model.safetensors") == model, "\(name)")
    }
    let json = try workspace.thaw(
      "predict", "--model", "run/model.safetensors", "photos.zip", "photos.tar/red", "--json"
    ).json()
    #expect(json.array.count == 36)
    #expect(json[0]["path"].string == "photos.zip/blue/0.png")
    let evaluation = try workspace.thaw(
      "evaluate", "--model", "run/model.safetensors", "--data", "photos.tar.gz", "--json")
    evaluation.succeeded()
    // A path may lead into an archive, wherever photos are asked for.
    let inside = try workspace.thaw(
      "evaluate", "--model", "run/model.safetensors", "--data", "photos.tar.gz/photos", "--json")
    #expect(try inside.json()["loss"].double == evaluation.json()["loss"].double)
    let below = ["fit", "photos.tar.gz/photos", "--run", "below/run"] + Workspace.recipe
    try workspace.start(below).wait().succeeded()
    #expect(try workspace.read("below/run/model.safetensors") == model)
    let named = try workspace.start(["prepare", "photos.tar.gz"] + Workspace.recipe).wait()
    named.succeeded()
    #expect(FileSystem.exists(workspace.file("runs/photos/manifest.json")))
  }

  @Test func aModelIsJudgedByATableOfLabels() throws {
    let workspace = try Workspace()
    try workspace.fit().succeeded()
    func evaluate(_ more: String...) throws -> Outcome {
      try workspace.start(
        ["evaluate", "--model", "run/model.safetensors", "--data", "photos", "--json"] + more
      ).wait()
    }
    let folders = try evaluate().json()
    let rows = (0..<12).flatMap { number in ["red", "blue"].map { "\($0)/\(number).png,\($0)" } }
    try AtomicFile.write(
      workspace.file("t.csv"), text: "image,kind\n" + rows.joined(separator: "\n"))
    let table = try evaluate("--labels", "t.csv", "--table-columns", "label=kind").json()
    #expect(table["accuracy"].double == folders["accuracy"].double)
    #expect(table["loss"].double == folders["loss"].double && table["count"].int == 24)
    // Half of the labels swapped: half of the answers are wrong.
    let swapped = (0..<12).flatMap { number in
      ["red", "blue"].map { "\($0)/\(number).png,\(number % 2 == 0 ? "red" : "blue")" }
    }
    try AtomicFile.write(
      workspace.file("t.csv"), text: "image,label\n" + swapped.joined(separator: "\n"))
    #expect(try evaluate("--labels", "t.csv").json()["accuracy"].double == 0.5)
    try AtomicFile.write(
      workspace.file("t.csv"),
      text: "image,label\n" + (rows + ["red/gone.png,red"]).joined(separator: "\n"))
    let missing = try evaluate("--labels", "t.csv")
    #expect(missing.status == 65 && missing.stderr.contains("red/gone.png: named in line 26"))
    let fit = try workspace.thaw(
      "diagnose", "fit", "--model", "run/model.safetensors", "--data", "photos", "--labels",
      "t.csv", "--no-overfit-test", "--json")
    #expect(fit.status == 0 && fit.stderr.contains("Labels from t.csv"), "\(fit.stderr)")
    let idle = try workspace.thaw("evaluate", "--run", "run", "--labels", "t.csv")
    #expect(idle.status == 64 && idle.stderr.contains("belong to --data"))
  }

  @Test func aMissingFileIsCountedInTheClassThatTheTableSays() throws {
    let workspace = try Workspace()
    let rows = (0..<12).flatMap { ["red/\($0).png,red", "blue/\($0).png,blue"] }
    try AtomicFile.write(
      workspace.file("t.csv"),
      text: "path,label\n" + (rows + ["red/gone.png,red"]).joined(separator: "\n"))
    let outcome = try workspace.prepare(
      "--labels", "t.csv", "--on-bad-image", "skip", "--json")
    let left = try outcome.json()["left_out"][0]
    #expect(left["class"].string == "red" && left["format"].string == "missing")
    #expect(outcome.stderr.contains("files of class 'red' left out: 1 missing"))
  }

  @Test func tableOptionsWithoutATableAreErrors() throws {
    let workspace = try Workspace(count: 4)
    let columns = try workspace.prepare("--table-columns", "path=a")
    #expect(columns.status == 64 && columns.stderr.contains("there is no table of labels"))
    let group = try workspace.prepare("--group-by", "patient")
    #expect(group.status == 64 && group.stderr.contains("needs a table of labels"))
  }

  @Test func metadataBesideThePhotosIsUsedWhenItHasLabels() throws {
    let workspace = try Workspace(count: 6)
    try AtomicFile.write(
      workspace.file("photos/metadata.csv"), text: "file_name,width\nred/0.png,40\n")
    let folders = try workspace.prepare("--json")
    #expect(try folders.json()["count"].int == 12)
    #expect(folders.stderr.contains("The folders are the labels"), "\(folders.stderr)")
    let rows = (0..<6).flatMap { ["red/\($0).png,\($0 % 2)", "blue/\($0).png,\($0 % 2)"] }
    try AtomicFile.write(
      workspace.file("photos/metadata.csv"),
      text: "file_name,label\n" + rows.joined(separator: "\n"))
    let table = try workspace.start(
      ["prepare", "photos", "--run", "other", "--json"] + Workspace.recipe
    ).wait()
    #expect(try table.json()["classes"][0]["name"].string == "0")
    // Nobody named the table, so that it is said even where remarks are not wanted.
    let quiet = try workspace.start(
      ["prepare", "photos", "--run", "other", "--quiet"] + Workspace.recipe
    ).wait()
    #expect(quiet.stderr.contains("warning: Labels from photos/metadata.csv"), "\(quiet.stderr)")
    #expect(quiet.stderr.contains("--layout classes"))
    try workspace.start(
      ["prepare", "photos", "--run", "third", "--layout", "classes", "--json"] + Workspace.recipe
    ).wait().succeeded()
    // Judging goes the same ways.
    try workspace.start(
      ["fit", "photos", "--layout", "classes", "--run", "run"] + Workspace.recipe
    ).wait().succeeded()
    let judge = ["evaluate", "--model", "run/model.safetensors", "--data", "photos", "--json"]
    let misled = try workspace.start(judge).wait()
    #expect(misled.status == 65 && misled.stderr.contains("--layout classes"), "\(misled.stderr)")
    #expect(!misled.stderr.contains("without an image"), "The table is no file that was left out.")
    let judged = try workspace.start(judge + ["--layout", "classes"]).wait()
    #expect(try judged.json()["count"].int == 12, "\(judged.stderr)")
  }

  @Test func aChangedGroupingIsANewSplit() throws {
    let workspace = try Workspace()
    try workspace.prepare().succeeded()
    let outcome = try workspace.prepare("--group-by", "(\\d)\\d*\\.png", "--json")
    let json = try outcome.json()
    #expect(json["new_split"]["now"].string?.contains("group by") == true, "\(outcome.stderr)")
  }

  private func prepare(_ workspace: Workspace, _ run: String, _ options: String...) throws
    -> Outcome
  {
    try workspace.start(["prepare", "photos", "--run", run] + Workspace.recipe + options).wait()
  }

  /// The usual place of a table is beside the folder, with paths that begin with the folder's name.
  @Test func pathsBelowTheTableAreFound() throws {
    let workspace = try Workspace(count: 6)
    for (name, separator, start) in [
      ("beside", "/", "photos/"), ("windows", "\\", "photos\\"),
      ("absolute", "/", workspace.file("photos").string + "/"), ("inside", "/", ""),
    ] {
      let rows = (0..<6).flatMap { number in
        ["red", "blue"].map { "\(start)\($0)\(separator)\(number).png,\($0)" }
      }
      try AtomicFile.write(
        workspace.file("\(name).csv"), text: "path,label\n" + rows.joined(separator: "\n"))
      let outcome = try prepare(workspace, name, "--labels", "\(name).csv", "--json")
      #expect(try outcome.json()["count"].int == 12, "\(name): \(outcome.stderr)")
    }
    try AtomicFile.write(workspace.file("none.csv"), text: "path,label\nx/1.png,a\nx/2.png,b\n")
    let none = try prepare(workspace, "none", "--labels", "none.csv")
    #expect(none.status == 65)
    #expect(none.stderr.contains("none of the 2 photos it names is in"), "\(none.stderr)")
    #expect(none.stderr.contains("'x/1.png'") && !none.stderr.contains("Expected CSV"))
  }

  @Test func aTableCanBeTakenBack() throws {
    let workspace = try Workspace(count: 6)
    let rows = (0..<6).flatMap { ["red/\($0).png,\($0 % 2)", "blue/\($0).png,\($0 % 2)"] }
    try AtomicFile.write(
      workspace.file("t.csv"), text: "path,label\n" + rows.joined(separator: "\n"))
    try prepare(workspace, "run", "--labels", "t.csv").succeeded()
    // The recipe names it wherever the next command is started.
    let elsewhere = try workspace.start(
      [], shell: "cd run && '\(ThawProcess.program)' prepare ../photos --run ../run --json"
    ).wait()
    #expect(try elsewhere.json()["unchanged"].bool == true)
    let folders = try prepare(workspace, "run", "--labels", "none")
    #expect(folders.status == 65 && folders.stderr.contains("class '0' of this run"))
    let fresh = try prepare(workspace, "fresh", "--labels", "none", "--group-by", "none", "--json")
    #expect(try fresh.json()["classes"][0]["name"].string == "blue")
  }

  @Test func groupsOfATableAreChecked() throws {
    let workspace = try Workspace(count: 6)
    func table(_ group: (Int) -> String) throws {
      let rows = (0..<6).flatMap { number in
        ["red", "blue"].map {
          #"{"path":"\#($0)/\#(number).png","label":"\#($0)","g":\#(group(number))}"#
        }
      }
      try AtomicFile.write(workspace.file("t.jsonl"), text: rows.joined(separator: "\n"))
    }
    try table { _ in "null" }
    let empty = try prepare(workspace, "a", "--labels", "t.jsonl", "--group-by", "g")
    #expect(empty.status == 65 && empty.stderr.contains("no photo has such a group"))
    try table { $0 < 3 ? "\($0).5" : "null" }
    let some = try prepare(workspace, "b", "--labels", "t.jsonl", "--group-by", "g", "--json")
    #expect(try some.json()["count"].int == 12)
    #expect(some.stderr.contains("6 photos without a group"), "\(some.stderr)")
    try AtomicFile.write(
      workspace.file("t.csv"),
      text: "path,label,g\nred/0.png,red,1\nred/0.png,red,2\nblue/0.png,blue,3\n")
    let torn = try prepare(workspace, "c", "--labels", "t.csv", "--group-by", "g")
    #expect(torn.status == 65 && torn.stderr.contains("another split or group"))
  }

  /// `set` may be anything; only a column with splits is one.
  @Test func aColumnCalledSetIsOneOfSplitsOnlyIfItHasAny() throws {
    let workspace = try Workspace(count: 6)
    func table(_ set: (Int) -> String) throws {
      let rows = (0..<6).flatMap { number in
        ["red", "blue"].map { "\($0)/\(number).png,\($0),\(set(number))" }
      }
      try AtomicFile.write(
        workspace.file("t.csv"), text: "path,label,set\n" + rows.joined(separator: "\n"))
    }
    try table { $0 < 3 ? "A" : "B" }
    let other = try prepare(workspace, "a", "--labels", "t.csv")
    other.succeeded()
    #expect(!other.stderr.contains("splits by"))
    try table { $0 < 3 ? "train" : "valid" }
    let splits = try prepare(workspace, "b", "--labels", "t.csv", "--json")
    #expect(try splits.json()["classes"][0]["valid"].int == 3)
    try table { $0 < 3 ? "train" : "B" }
    let mixed = try prepare(workspace, "c", "--labels", "t.csv")
    #expect(mixed.status == 65 && mixed.stderr.contains("'B' is no split"))
  }
}
