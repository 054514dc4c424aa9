// SPDX-License-Identifier: Apache-2.0

import Foundation
import Testing
import ThawBackbones
import ThawCheckpoints
import ThawFiles
import ThawNetwork

/// Checkpoints that another program trained, given as `--model`.
struct ForeignModelTests {
  private let workspace: Workspace

  /// `foreign.safetensors`: an EfficientNet-Lite0 with two classes and nothing said about it.
  init() throws {
    workspace = try Workspace(count: 3)
    let graph = try Architecture(named: "efficientnet_lite0").graph(Head(classes: 2))
    let parameters = Parameters.procedural(for: graph)
    let tensors = parameters.paths.compactMap { path in
      parameters[path].map { StoredTensor(path.description, $0) }
    }
    try SafetensorsWriter.write(workspace.file("foreign.safetensors"), tensors)
  }

  private func json(_ text: String) throws -> [String: Any] {
    try #require(
      try JSONSerialization.jsonObject(with: Data(text.utf8)) as? [String: Any])
  }

  @Test func inspectSaysWhatItIsAndWhy() throws {
    let outcome = try workspace.thaw("pretrained", "inspect", "foreign.safetensors", "--json")
    #expect(outcome.status == 0)
    let contents = try json(outcome.stdout)
    #expect(contents["architecture"] as? String == "efficientnet_lite0")
    #expect(contents["certainty"] as? String == "sure")
    #expect(contents["classes"] as? Int == 2)
    #expect(contents["card"] as? String == "tiny")
    #expect((contents["preprocessing"] as? String)?.contains("(x - 127) / 128") == true)
    #expect((contents["missing"] as? [String])?.isEmpty == true)
    let text = try workspace.thaw("pretrained", "inspect", "foreign.safetensors").stdout
    #expect(text.contains("no other architecture fits"))
    #expect(text.contains("classes: 2"))
    #expect(!text.contains("bn1.running_mean"), "The verdict first; tensors when asked for.")
    #expect(
      try workspace.thaw("pretrained", "inspect", "foreign.safetensors", "--tensors").stdout
        .contains("bn1.running_mean"))
  }

  @Test func sortedFoldersNameTheClassesAndItIsSaid() throws {
    let outcome = try workspace.thaw(
      "evaluate", "--model", "foreign.safetensors", "--data", "photos", "--json")
    #expect(outcome.status == 0, "\(outcome.stderr)")
    #expect(outcome.stderr.contains("taken for the class folders in sorted order: blue, red"))
    let metrics = try json(outcome.stdout)
    #expect(metrics["count"] as? Int == 6)
  }

  @Test func namesComeFromAFileOrAreNumbers() throws {
    try AtomicFile.write(workspace.file("names.txt"), text: "cat\ndog\n")
    let predict = [
      "predict", "--model", "foreign.safetensors", "photos/red/0.png", "--format", "csv",
    ]
    let named = try workspace.start(predict + ["--class-names", "names.txt"]).wait()
    #expect(named.status == 0, "\(named.stderr)")
    #expect(named.stdout.contains(",cat,") || named.stdout.contains(",dog,"))
    let numbered = try workspace.start(predict).wait()
    #expect(numbered.stdout.contains(",class 0,") || numbered.stdout.contains(",class 1,"))
    #expect(numbered.stderr.contains("does not name its 2 classes"))
    try AtomicFile.write(workspace.file("three.txt"), text: "a\nb\nc\n")
    let wrong = try workspace.start(predict + ["--class-names", "three.txt"]).wait()
    #expect(wrong.status == 65 && wrong.stderr.contains("three.txt: 3 class names"))
  }

  @Test func aCardSaysWhatTheFileCannot() throws {
    let outcome = try workspace.thaw(
      "predict", "--model", "foreign.safetensors", "--card", "tiny", "photos/red/0.png", "--json")
    #expect(outcome.status == 0, "\(outcome.stderr)")
    #expect(outcome.stderr.contains("as the card tiny says"))
    let useless = try workspace.thaw("predict", "--model", "tiny", "--card", "tiny", "photos")
    #expect(useless.status == 64 && useless.stderr.contains("--card and --class-names"))
  }

  @Test func whatDoesNotFitIsNamed() throws {
    let whole = try CheckpointReader.read(workspace.file("foreign.safetensors"))
    let damaged = whole.tensors.filter { $0.name != "blocks.2.0.bn1.running_mean" }
    try SafetensorsWriter.write(workspace.file("less.safetensors"), damaged)
    let less = try workspace.thaw("predict", "--model", "less.safetensors", "photos")
    #expect(less.status == 65)
    #expect(less.stderr.contains("1 missing: blocks.2.0.bn1.running_mean"))
    try SafetensorsWriter.write(
      workspace.file("trunk.safetensors"),
      whole.tensors.filter { !$0.name.hasPrefix("classifier") })
    let trunk = try workspace.thaw("predict", "--model", "trunk.safetensors", "photos")
    #expect(trunk.status == 65 && trunk.stderr.contains("they have no classifier"))
    try SafetensorsWriter.write(
      workspace.file("other.safetensors"), [whole.tensors[0].renamed("something")])
    let other = try workspace.thaw("predict", "--model", "other.safetensors", "photos")
    #expect(other.status == 65 && other.stderr.contains("fit no architecture"))
  }
}
