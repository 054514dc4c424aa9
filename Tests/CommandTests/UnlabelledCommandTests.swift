// SPDX-License-Identifier: Apache-2.0

import Foundation
import SystemPackage
import Testing
import ThawFiles
import ThawTestSupport

/// Photos without labels: `--unlabelled`.
struct UnlabelledCommandTests {
  private let workspace: Workspace

  init() throws {
    workspace = try Workspace(classes: ["blue", "red", "green"], count: 12)
    let folder = workspace.file("more")
    try FileSystem.createDirectory(folder.appending("deeper"))
    for kind in 0..<3 {
      for number in 0..<6 {
        try AtomicFile.write(
          folder.pushing(FilePath("deeper/\(kind)-\(number).png")),
          bytes: try Workspace.photo(kind: kind, number: 100 + number))
      }
    }
  }

  private func put(_ name: String, _ bytes: [UInt8]) throws {
    try AtomicFile.write(workspace.file("more").appending(name), bytes: bytes)
  }

  private func fit(_ more: String...) throws -> Outcome {
    try workspace.start(["fit", "photos", "--run", "run"] + Workspace.recipe + more).wait()
  }

  @Test(arguments: [[], ["--solver", "head:lbfgs"]])
  func theyAreUsedOrTheHeadStaysToTheBit(_ solver: [String]) throws {
    let recipe = ["--backbone", "tiny", "--no-fine-tune"] + solver
    func fit(_ run: String, _ more: [String] = []) throws -> Outcome {
      try workspace.start(["fit", "photos", "--run", run, "--json"] + recipe + more).wait()
    }
    let alone = try fit("alone").json()
    #expect(!alone["train"]["unlabelled"].isThere)
    let first = try fit("run", ["--unlabelled", "more"])
    let result = try first.json()["train"]["unlabelled"]
    #expect(result["found"].int == 18 && result["judges"].int ?? 0 > 20)
    #expect(result["candidates"].array.count == 6)
    #expect(first.stderr.contains("without a label"), "\(first.stderr)")
    let head = "checkpoints/head.safetensors"
    let isKept = try #require(result["is_kept"].bool)
    if isKept {
      #expect(result["classes"].array.count == 3)
    } else {
      #expect(result["classes"].array.isEmpty && first.stderr.contains("did not help"))
      #expect(try weights("run/\(head)") == weights("alone/\(head)"))
    }
    // Nothing is done twice.
    let model = try workspace.read("run/model.safetensors")
    let again = try fit("run", ["--unlabelled", "more"]).json()
    #expect(again["train"]["unchanged"].bool == true)
    #expect(again["train"]["unlabelled"]["is_kept"].bool == isKept)
    #expect(try workspace.read("run/model.safetensors") == model)
    // Without them it is the head that it would have been.
    _ = try fit("run", ["--unlabelled", "none"]).json()
    #expect(try weights("run/\(head)") == weights("alone/\(head)"))
  }

  /// The tensors of a model file, without what it says of itself.
  private func weights(_ name: String) throws -> [UInt8] {
    let bytes = try workspace.read(name)
    let length = bytes.prefix(8).reversed().reduce(0) { $0 << 8 | Int($1) }
    return Array(bytes.dropFirst(8 + length))
  }

  @Test func whatCannotBeUsedIsCounted() throws {
    try put("broken.png", Array("\u{89}PNG no photo".utf8))
    try put("twice.png", workspace.read("more/deeper/0-0.png"))
    let prepared = try workspace.prepare("--json", "--test", "0.2")
    prepared.succeeded()
    let rows = try JSON(workspace.text("run/manifest.json"))["records"].array
    for (split, name) in [("valid", "v"), ("test", "t"), ("train", "l")] {
      let path = try #require(rows.first { $0["split"].string == split }?["path"].string)
      try put("\(name).png", workspace.read("photos/\(path)"))
    }
    let result = try workspace.thaw("train", "--run", "run", "--unlabelled", "more", "--json")
      .json()["unlabelled"]
    #expect(result["found"].int == 18 + 5)
    let leftOut = result["left_out"]
    #expect(leftOut["broken"].int == 1 && leftOut["repeated"].int == 1)
    // Photos of the tests that look alike may count as copies as well.
    #expect(leftOut["of_held_out"].int ?? 0 >= 2 && leftOut["of_training"].int ?? 0 >= 1)
    #expect(leftOut["unlike"].isThere)
    let report = try fit("--unlabelled", "more", "--test", "0.2")
    report.succeeded()
    #expect(try workspace.text("run/report.html").contains("without a label"))
  }

  @Test func anInterruptedTrainingEndsTheSame() throws {
    let whole = try workspace.start(
      ["fit", "photos", "--run", "whole", "--unlabelled", "more"] + Workspace.recipe
    ).wait()
    whole.succeeded()
    for place in ["Computing features", "Comparing heads"] {
      let process = try workspace.start(
        ["fit", "photos", "--run", "run", "--unlabelled", "more"] + Workspace.recipe)
      _ = process.wait { process.stderr.contains(place) }
      process.send(SIGKILL)
      _ = process.wait()
    }
    try fit("--unlabelled", "more").succeeded()
    #expect(try workspace.read("run/model.safetensors").count > 0)
    #expect(try weights("run/model.safetensors") == weights("whole/model.safetensors"))
  }

  @Test(arguments: [
    (["--unlabelled", "nowhere"], "nowhere"),
    (["--unlabelled", "more", "--minutes", "5"], "does not plan for photos without labels"),
    (["--unlabelled", "more", "--augmentation", "photo", "--views", "fresh"], "views is fresh"),
  ])
  func whatMakesNoSenseIsRefused(_ options: [String], _ words: String) throws {
    let outcome = try workspace.start(
      ["fit", "photos", "--run", "run"] + Workspace.recipe + options
    ).wait()
    #expect(outcome.status != 0 && outcome.stderr.contains(words), "\(outcome.stderr)")
  }
}
