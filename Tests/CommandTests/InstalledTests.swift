// SPDX-License-Identifier: Apache-2.0

import Foundation
import SystemPackage
import Testing
import ThawFiles
import ThawTestSupport
import ThawTinyBackbone

/// The command as `make install` leaves it: `bin/thaw`, cards and recipes in `share/thaw`.
private struct Installation {
  let prefix: TemporaryDirectory
  let workspace: Workspace
  var cards: FilePath { prefix.path.pushing("share/thaw/Pretrained") }
  var cache: FilePath { prefix.path.appending("cache") }

  init() throws {
    prefix = try TemporaryDirectory()
    workspace = try Workspace(count: 4)
    for folder in ["bin", "share/thaw/Pretrained", "share/thaw/Pipelines"] {
      try FileSystem.createDirectory(prefix.path.pushing(FilePath(folder)))
    }
    try FileManager.default.copyItem(
      atPath: ThawProcess.program.string, toPath: prefix.path.pushing("bin/thaw").string)
    for name in ["tiny.yml", "classes.txt"] {
      try FileSystem.copy(
        TinyBackbone.directory.pushing(FilePath(name)), to: cards.pushing(FilePath(name)))
    }
    try AtomicFile.write(
      prefix.path.pushing("share/thaw/Pipelines/small.yml"), text: "name: small\nbackbone: tiny\n")
  }

  /// Runs the installed command; `environment` is as `env` takes it.
  func thaw(_ arguments: String..., environment: String? = nil) throws -> Outcome {
    let environment = environment ?? "XDG_CACHE_HOME='\(cache)'"
    return try workspace.start(
      arguments,
      shell: "shift; exec env -u THAW_PRETRAINED \(environment) '\(prefix.path)/bin/thaw' \"$@\""
    ).wait()
  }

  func importWeights(environment: String? = nil) throws -> Outcome {
    try thaw(
      "pretrained", "import", TinyBackbone.directory.appending("tiny.safetensors").string,
      "--card", "tiny", environment: environment)
  }
}

@Suite struct InstalledTests {
  private let installation: Installation

  init() throws { installation = try Installation() }

  @Test func itFindsItsCardsAndKeepsWeightsInTheUsersFolder() throws {
    let weights = installation.cache.pushing("thaw/tiny.safetensors")
    let list = try installation.thaw("pretrained", "list")
    list.succeeded()
    #expect(list.stdout.contains("made-up weights"))
    #expect(list.stdout.contains("1 card, the weights of 0 are here."))
    #expect(list.stdout.contains("\(installation.cache)/thaw"))
    let taken = try installation.importWeights()
    taken.succeeded()
    #expect(taken.stdout.contains(weights.string))
    #expect(FileSystem.exists(weights))
    #expect(
      try FileSystem.list(installation.cards).map(\.string).sorted() == ["classes.txt", "tiny.yml"])
    let answer = try installation.thaw(
      "predict", "--model", "tiny", "photos/blue/0.png", "--format", "json")
    #expect(try answer.json()[0]["top"].array.count == 3)
  }

  @Test func withoutAHomeItReadsAndSaysWhatToSetBeforeItWrites() throws {
    let nowhere = "-u HOME -u XDG_CACHE_HOME"
    let list = try installation.thaw("pretrained", "list", environment: nowhere)
    list.succeeded()
    #expect(list.stdout.contains("no known place"))
    let taken = try installation.importWeights(environment: nowhere)
    #expect(taken.status != 0)
    #expect(taken.errors.first?.contains("neither XDG_CACHE_HOME nor HOME") == true)
  }

  @Test(arguments: ["small", "Pipelines/small.yml"])
  func itFindsTheRecipesThatCameWithIt(_ recipe: String) throws {
    let outcome = try installation.thaw(
      "prepare", "photos", "--run", "run", "--recipe", recipe, "--valid", "0.5")
    outcome.succeeded()
    let written = try installation.workspace.text("run/recipe.yml")
    #expect(written.contains("backbone: \"tiny\""))
  }

  @Test func aRecipeThatIsNowhereIsNamedAsItWasGiven() throws {
    let outcome = try installation.thaw("prepare", "photos", "--run", "run", "--recipe", "nothing")
    #expect(outcome.status == 64)
    #expect(outcome.stderr.contains("there is no file nothing"), "\(outcome.stderr)")
  }
}
