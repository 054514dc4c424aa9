// SPDX-License-Identifier: Apache-2.0

import SystemPackage
import Testing
import ThawFiles
import ThawTestSupport
import ThawTinyBackbone

/// Weights that are not here are fetched by whatever needs them, or an error with `--offline`.
struct OfflineTests {
  private let workspace: Workspace
  private let server: LoopbackServer

  /// A prepared run, and beside it a card whose weights a server on this machine has.
  init() throws {
    workspace = try Workspace(count: 4)
    let name = "\(TinyBackbone.name).safetensors"
    let weights = try FileSystem.read(TinyBackbone.directory.appending(name))
    server = try LoopbackServer(.init(weights))
    try FileSystem.createDirectory(workspace.file("cards"))
    try AtomicFile.write(
      workspace.file("cards/tiny.yml"),
      text: TinyBackbone.card(
        sha256: SHA256.hexadecimal(of: weights), address: server.address))
    try AtomicFile.write(workspace.file("cards/classes.txt"), text: "this\nthat\nsomething else\n")
    try workspace.prepare("--epochs", "1").succeeded()
  }

  private var hasWeights: Bool { FileSystem.exists(workspace.file("cards/tiny.safetensors")) }

  @Test(arguments: [
    ["cache", "--run", "run"], ["train", "--run", "run"],
    ["find-lr", "--run", "run", "--iterations", "6"],
    ["fit", "photos", "--run", "run", "--no-fine-tune"],
    ["predict", "--model", "tiny", "photos/red/0.png"], ["pretrained", "inspect", "tiny"],
  ])
  func whatNeedsWeightsFetchesThemUnlessForbidden(command: [String]) throws {
    let refused = try workspace.start(command + ["--offline"]).wait()
    #expect(refused.status == 65)
    #expect(refused.errors.count == 1)
    #expect(refused.stderr.contains("Run: thaw pretrained fetch tiny"), "\(refused.stderr)")
    #expect(!hasWeights && server.starts.isEmpty)
    let outcome = try workspace.start(command).wait()
    outcome.succeeded()
    #expect(outcome.stderr.contains("Fetching tiny from \(server.address)"))
    #expect(hasWeights)
    try workspace.start(command + ["--offline"]).wait().succeeded()
  }

  @Test func augmentationIsShownWithoutWeights() throws {
    try workspace.thaw(
      "augment", "--run", "run", "--preview", "sheet.png", "--augmentation", "photo", "--offline"
    ).succeeded()
    #expect(!hasWeights)
  }

  @Test func fetchingOfflineIsAContradiction() throws {
    let outcome = try workspace.thaw("pretrained", "fetch", "tiny", "--offline")
    #expect(outcome.status == 64)
    #expect(outcome.stderr.contains("fetch downloads, which --offline forbids"))
  }

  @Test(arguments: ["Tiny", "tny", "ti-ny"])
  func aCardWithATypoGetsASuggestion(name: String) throws {
    let outcome = try workspace.thaw("prepare", "photos", "--run", "other", "--backbone", name)
    #expect(outcome.status == 65)
    #expect(
      outcome.errors == [
        "error: no card is called '\(name)'. Did you mean 'tiny' (32 pixels)? All of them: thaw pretrained list"
      ])
  }
}
