// SPDX-License-Identifier: Apache-2.0

import SystemPackage
import Testing
import ThawFiles
import ThawTinyBackbone

/// What a shell is told when it asks, as its completion script asks.
struct CompletionTests {
  private let workspace: Workspace

  init() throws {
    workspace = try Workspace(count: 4)
    try workspace.start(
      ["prepare", "photos", "--run", "runs/leaves"] + Workspace.recipe
    ).wait().succeeded()
  }

  /// The offers behind the last of `words`.
  private func offers(_ words: String...) throws -> [String] {
    let argument = words[words.count - 2]
    let outcome = try workspace.start(
      [
        "---completion", words[0], "--", argument, "\(words.count)", "\(words.last?.count ?? 0)",
        "thaw",
      ]
        + words
    ).wait()
    #expect(outcome.status == 0 && outcome.stderr.isEmpty, "\(outcome.stderr)")
    return outcome.stdout.split(separator: "\n").map(String.init)
  }

  @Test func cardsRunsAndModelsAreOffered() throws {
    #expect(try offers("fit", "photos", "--backbone", "ti") == ["tiny"])
    #expect(try offers("fit", "photos", "--backbone", "x") == [])
    #expect(try offers("train", "--run", "") == ["runs/leaves"])
    #expect(try offers("train", "--run", "runs/l") == ["runs/leaves"])
    try AtomicFile.write(workspace.file("runs/leaves/model.safetensors"), text: "")
    try AtomicFile.write(workspace.file("other.pth"), text: "")
    let models = try offers("predict", "--model", "")
    #expect(models.prefix(2) == ["runs/leaves/model.safetensors", "tiny"])
    #expect(models.contains("other.pth"))
    #expect(try offers("predict", "--model", "runs/leaves/m") == ["runs/leaves/model.safetensors"])
  }

  @Test func foldersAndClassesAreOfferedForRenaming() throws {
    let start = ["evaluate", "--model", "tiny", "--data", "photos", "--rename"]
    func offers(_ word: String) throws -> [String] {
      try self.offers(start[0], start[1], start[2], start[3], start[4], start[5], word)
    }
    #expect(try offers("r") == ["red="])
    #expect(try offers("red=th") == ["red=this", "red=that"])
  }

  @Test(arguments: ["bash", "zsh", "fish"])
  func everyShellHasAScript(shell: String) throws {
    let script = try workspace.thaw("--generate-completion-script", shell)
    #expect(script.status == 0 && script.stdout.contains("---completion"))
  }
}
