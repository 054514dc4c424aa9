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

  /// Tools/install.sh, on a folder of what was built that holds the server or does not.
  @Test(arguments: [true, false]) func theServerIsInstalledWhereItWasBuilt(_ isBuilt: Bool) throws {
    let tree = try TemporaryDirectory()
    let tools = FilePath(#filePath).removingLastComponent().removingLastComponent()
      .removingLastComponent().appending("Tools")
    let built = [
      "thaw", "thaw.bash", "thaw.zsh", "thaw.fish", "man/thaw.1",
    ].map { ".build-static/package/\($0)" }
    let server = isBuilt ? [".build-static/package/thaw-serve"] : []
    let others = [
      "Pretrained/a.yml", "Pretrained/a.txt", "Pipelines/a.yml", "Pipelines/search/b.yml",
    ]
    for name in built + server + others + ["README.md", "CHANGELOG.md", "LICENSE"] {
      let file = tree.path.pushing(FilePath(name))
      try FileSystem.createDirectory(file.removingLastComponent())
      try AtomicFile.write(file, text: name)
    }
    try FileSystem.createDirectory(tree.path.appending("Tools"))
    try FileSystem.copy(tools.appending("install.sh"), to: tree.path.pushing("Tools/install.sh"))
    let prefix = tree.path.appending("prefix")
    let place = prefix.pushing("bin/thaw-serve")
    func run(_ arguments: String) throws -> Outcome {
      try installation.workspace.start(
        [], shell: "bash '\(tree.path)/Tools/install.sh' \(arguments) '\(prefix)'"
      ).wait()
    }
    let installed = try run("")
    installed.succeeded()
    #expect(FileSystem.exists(place) == isBuilt)
    for name in others {
      let file = prefix.pushing("share/thaw").pushing(FilePath(name))
      #expect(try FileSystem.read(file) == Array(name.utf8), "\(name)")
    }
    #expect(installed.stdout.contains("'make server' first") != isBuilt, "\(installed.stdout)")
    try run("--uninstall").succeeded()
    #expect(!FileSystem.exists(place) && !FileSystem.exists(prefix.pushing("bin/thaw")))
  }

  /// A photo given for a model is the first thing to know, also where no server is built.
  @Test func whatIsNoModelIsSaidBeforeThatTheServerIsMissing() throws {
    for model in ["photos/blue/0.png", "mine=photos/blue/0.png"] {
      let outcome = try installation.thaw("serve", model, environment: "PATH=/nowhere")
      #expect(outcome.status == 65)
      #expect(outcome.stderr.contains("photos/blue/0.png"), "\(outcome.stderr)")
      #expect(!outcome.stderr.contains("make server"))
    }
  }
}
