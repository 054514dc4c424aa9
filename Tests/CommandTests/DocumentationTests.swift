// SPDX-License-Identifier: Apache-2.0

import Foundation
import SystemPackage
import Testing
import ThawFiles
import ThawTestSupport
import ThawTinyBackbone

/// The pages for newcomers: each of their commands is run as it stands, one after the other.
struct DocumentationTests {
  /// The folder of the package, above this file.
  private static let package = FilePath(#filePath).removingLastComponent().removingLastComponent()
    .removingLastComponent()

  /// The lines of a page between "```sh" and "```".
  private static func commands(of page: String) throws -> [String] {
    let text = String(
      decoding: try FileSystem.read(package.appending("Documentation").appending(page)),
      as: UTF8.self)
    var commands: [String] = []
    var isInside = false
    for line in text.split(separator: "\n", omittingEmptySubsequences: false) {
      if line.hasPrefix("```") {
        isInside = line == "```sh"
      } else if isInside, !line.isEmpty {
        commands.append(String(line))
      }
    }
    return commands
  }

  @Test func everyCommandForPeopleWithPhotosWorks() throws {
    let workspace = try Workspace(classes: ["maple", "oak"], count: 15)
    try FileManager.default.moveItem(
      atPath: workspace.file("photos").string, toPath: workspace.file("leaves").string)
    let photo = try workspace.addPhoto("maple", kind: 0, number: 99)
    try FileSystem.createDirectory(workspace.file("new"))
    try AtomicFile.write(
      workspace.file("new/photo.png"), bytes: try FileSystem.read(photo))
    // The usual backbone by name, with made-up weights.
    let usual = "efficientnet_lite0"
    try TinyBackbone.write(to: workspace.file("cards"))
    let card = try workspace.text("cards/tiny.yml")
    try AtomicFile.write(
      workspace.file("cards/\(usual).yml"),
      text: card.replacing("name: \(TinyBackbone.name)\n", with: "name: \(usual)\n"))
    let commands = try Self.commands(of: "photos.md")
    #expect(commands.count >= 7)
    let folder = ThawProcess.program.removingLastComponent().string
    for command in commands {
      #expect(command.hasPrefix("thaw "), "\(command)")
      let outcome = try workspace.start([], shell: "PATH=\(folder):$PATH; \(command)").wait()
      #expect(outcome.status == 0, "\(command): \(outcome.stderr)")
    }
    for file in [
      "runs/leaves/report.html", "runs/leaves-tested/model.safetensors", "answers.csv",
      "leaves.onnx",
    ] { #expect(FileSystem.exists(workspace.file(file)), "\(file)") }
  }

  /// For whom a model broke: from the file of another program to one that it loads again. (The Python of
  /// the page is run by Tools/check_snippets.py.)
  @Test func everyCommandOfTheWayBackToPyTorchWorks() throws {
    let workspace = try Workspace(count: 20)
    try workspace.prepare("--valid", "0.4", "--frozen-batch-norm", "keras-2.1.3").succeeded()
    try workspace.thaw("train", "--run", "run", "--epochs", "25", "--patience", "0").succeeded()
    try AtomicFile.write(
      workspace.file("yours.pth"), bytes: try workspace.read("run/model.safetensors"))
    let commands = try Self.commands(of: "BatchNorm.md")
    #expect(commands.first == "thaw diagnose batchnorm --model yours.h5 --data photos")
    let ours = commands.filter { $0.contains("yours.pth") && !$0.contains("--train-data") }
    #expect(ours.count == 2)
    let folder = ThawProcess.program.removingLastComponent().string
    for command in ours {
      let outcome = try workspace.start([], shell: "PATH=\(folder):$PATH; \(command)").wait()
      #expect(outcome.status == 0, "\(command): \(outcome.stderr)")
    }
    #expect(FileSystem.exists(workspace.file("back.safetensors")))
  }

  @Test func everyCommandForSeveralLabelsWorks() throws {
    let workspace = try Workspace()
    try AtomicFile.write(workspace.file("labels.csv"), text: SeveralLabelsTests.table())
    let recipe = workspace.file("recipe.yml")
    try AtomicFile.write(
      recipe, text: "backbone: tiny\ntrain:\n  epochs: 3\nfine_tune:\n  enabled: false\n")
    let folder = ThawProcess.program.removingLastComponent().string
    for command in try Self.commands(of: "labels.md") {
      let known = command.contains(" fit ") ? " --recipe recipe.yml" : ""
      let outcome = try workspace.start([], shell: "PATH=\(folder):$PATH; \(command)\(known)")
        .wait()
      #expect(outcome.status == 0, "\(command): \(outcome.stderr)")
    }
    #expect(FileSystem.exists(workspace.file("street.onnx")))
  }

  /// Links between the pages, and from the README.
  @Test func everyLinkLeadsSomewhere() throws {
    var pages = try FileSystem.list(Self.package.appending("Documentation")).map {
      FilePath("Documentation").appending($0)
    }.filter { $0.extension == "md" }
    pages += ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md"]
    for page in pages {
      let file = Self.package.pushing(page)
      let text = String(decoding: try FileSystem.read(file), as: UTF8.self)
      for match in text.matches(of: /\]\(([^)#\s]+)(#[^)]*)?\)/) where !match.1.contains("://") {
        let target = file.removingLastComponent().pushing(FilePath(String(match.1)))
        #expect(FileSystem.exists(target), "\(page): \(match.1)")
      }
    }
  }
}
