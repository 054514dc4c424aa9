// SPDX-License-Identifier: Apache-2.0

import Foundation
import Testing
import ThawRecipes

/// What the command says about itself, and about being called wrongly.
struct HelpTests {
  private let workspace: Workspace

  init() throws { workspace = try Workspace(classes: []) }

  @Test func rootHelpSaysWhatToDoFirst() throws {
    let help = try workspace.thaw("--help")
    #expect(help.status == 0)
    let before = help.stdout.components(separatedBy: "SUBCOMMANDS:\n")[0]
    #expect(
      before == """
        OVERVIEW: Fine-tune pretrained image classifiers on a folder of photos.

        One command from photos to a classifier:
          thaw fit photos --run runs/mine        (photos/CLASS/*.jpg)
          thaw predict --model runs/mine/model.safetensors new.jpg
        Each command's --help shows the usual options, --help-all every one.

        USAGE: thaw <subcommand>

        OPTIONS:
          --version               Show the version.
          -h, --help              Show help information.


        """)
  }

  @Test func everyCommandHasHelpAndTheCommonOptions() throws {
    let commands = try names(in: workspace.thaw("--help").stdout)
    #expect(Set(commands).isSuperset(of: ["fit", "prepare", "cache", "train", "evaluate"]))
    #expect(Set(commands).isSuperset(of: ["predict", "report", "pretrained"]))
    for command in commands {
      let help = try workspace.thaw(command, "--help")
      #expect(help.status == 0 && help.stderr.isEmpty, "\(command)")
      #expect(help.stdout.hasPrefix("OVERVIEW: "), "\(command)")
      let leaves = names(in: help.stdout).map { [command, $0] }
      for leaf in leaves.isEmpty ? [[command]] : leaves {
        let text = try workspace.start(leaf + ["--help"]).wait().stdout
        for option in ["--json", "--seed <seed>", "--threads <threads>", "--quiet"] {
          #expect(text.contains("  \(option)"), "\(leaf) lacks \(option)")
        }
      }
    }
  }

  /// Options are declared one by one; their names, help and words must be the keys'.
  @Test func everyKeyWithAnOptionHasItWithItsHelp() throws {
    func check<Section>(_ keys: [RecipeKey<Section>], _ commands: [String]) throws {
      let keys = keys.filter { $0.option != nil }
      for command in commands {
        let help = words(try workspace.thaw(command, "--help-all").stdout)
        for key in keys {
          let option = " --\(key.option ?? "") <\(key.option ?? "")> \(words(key.help)) "
          #expect(help.contains(option), "\(command) lacks \(option)")
        }
      }
    }
    let parts: [RecipeKey<Recipe.Train>] = [.layerDecay, .cycleLength, .cycleMult, .warmUp]
    try check(Recipe.Train.keys + parts, ["fit", "prepare", "train", "fine-tune"])
    try check(Recipe.Data.keys, ["fit", "prepare"])
    try check(Recipe.Image.keys + [], ["fit", "prepare", "train"])
    try check(Recipe.Head.keys, ["fit", "prepare", "train"])
    try check([RecipeKey<Recipe>.backbone, .cache], ["fit", "prepare", "train"])
    try check([RecipeKey<Recipe.Evaluate>.tta, .ttaMode], ["fit", "evaluate", "predict"])
    try check(
      Recipe.FineTune.ownKeys.filter { !["enabled", "interpolation"].contains($0.name) },
      ["fine-tune", "find-lr"])
    #expect(
      words(try workspace.thaw("fit", "--help").stdout).contains(
        " --fine-tune/--no-fine-tune \(words(RecipeKey<Recipe.FineTune>.enabled.help)) "))
    #expect(
      words(try workspace.thaw("fine-tune", "--help").stdout).contains(
        " --interpolation/--no-interpolation "
          + "\(words(RecipeKey<Recipe.FineTune>.interpolation.help)) "))
  }

  /// What a newcomer sees is about one screen; everything else is a word away.
  @Test func helpHasTwoLayers() throws {
    let help = try workspace.thaw("fit", "--help").stdout
    for option in [
      "--run", "--backbone", "--size", "--valid", "--test", "--on-bad-image", "--seed",
      "--fine-tune/--no-fine-tune", "--minutes", "--labels",
    ] { #expect(help.contains("  \(option) ") || help.contains("  \(option)\n"), "\(option)") }
    #expect(words(help).contains("(default: 0.2)") && help.contains("--help-all"))
    for option in ["--momentum", "--tta-mode", "--hidden", "--engine"] {
      #expect(!help.contains(option), "\(option)")
      #expect(try workspace.thaw("fit", "--help-all").stdout.contains(option), "\(option)")
    }
    #expect(!(try workspace.thaw("prepare", "--help").stdout.contains("--momentum")))
    #expect(help.split(separator: "\n").count < 60)
  }

  @Test func theProgramAloneSaysTheTwoCommandsThatPeopleNeed() throws {
    let outcome = try workspace.start([]).wait()
    #expect(outcome.status == 0 && outcome.stderr.isEmpty)
    #expect(outcome.stdout.contains("thaw fit PHOTOS") && outcome.stdout.contains("thaw predict"))
    #expect(outcome.stdout.split(separator: "\n").count < 12)
  }

  /// What other programs call an option; the advice must be an option that the command has.
  @Test(arguments: [
    (["fit", "x", "--lr", "1"], "--learning-rate"), (["train", "--bs=3"], "--batch"),
    (["fit", "x", "--batch_size", "3"], "--batch"), (["fit", "x", "--imgsz", "9"], "--size"),
    (["fit", "x", "--weights", "9"], "--backbone"), (["predict", "--weights", "9"], "--model"),
    (["fit", "x", "--run", "r", "--optimizer", "adam"], "--solver"),
    (["diagnose", "batchnorm", "--dataset", "x"], "--data"),
  ])
  func aNearMissIsCorrected(arguments: [String], option: String) throws {
    let outcome = try workspace.start(arguments).wait()
    #expect(outcome.status == 64)
    #expect(outcome.stderr.contains("Did you mean '\(option)'?"), "\(outcome.stderr)")
    let command = Array(arguments.prefix { !$0.hasPrefix("-") && $0 != "x" })
    let help = try workspace.start(command + ["--help-all"]).wait().stdout
    #expect(help.contains("\(option) "))
  }

  /// What an option of ours would be suggested for must be what was meant.
  @Test(arguments: [
    (["evaluate", "--lr", "1"], "'--learning-rate' belongs to thaw fit, "),
    (["report", "--output", "x"], "'--output' belongs to other commands, thaw predict"),
    (["train", "--run", "r", "--labels", "x"], "'--labels' belongs to other commands, thaw fit"),
    (["fit", "x", "--lables", "x"], "Did you mean '--labels'?"),
    (["fit", "x", "--output", "x"], "Did you mean '--run'?"),
    (["fit", "x", "--mixing", "0.2"], "expected none, mixup or cutmix"),
    (["fit", "x", "--mixing", "mixup:0"], "expected none, mixup or cutmix"),
    (["trian"], "Did you mean 'thaw train'?"), (["diagnose", "batchnrom"], "batchnorm'?"),
    (["eval", "--run", "r"], "Did you mean 'thaw evaluate'?"),
    (["pretrained", "lst"], "Did you mean 'thaw pretrained list'?"),
    (["zzzz"], "All of them: thaw --help"), (["predict", "--run", "r", "x"], "mean '--model'?"),
    (["diagnose", "--run", "r"], "Say which: 'thaw diagnose batchnorm', 'thaw diagnose "),
    (["predict", "--valid", "0.1", "x"], "belongs to thaw fit"),
    (["fit", "x", "--seed", "-1"], "write --seed=-1"),
    (["export", "--seeds", "1", "--data", "x"], "Did you mean '--seed'?"),
    // What is refused only when the command runs is told with that command's usage.
    (["predict", "--model", "m", "x", "--tta", "0"], "Usage: thaw predict "),
    (["pretrained", "import", "x"], "Usage: thaw pretrained import "),
  ])
  func aMistakeIsAnsweredByWhatWasMeant(arguments: [String], answer: String) throws {
    let outcome = try workspace.start(arguments).wait()
    #expect(outcome.status == 64 && outcome.errors.count == 1)
    #expect(outcome.stderr.contains(answer), "\(outcome.stderr)")
  }

  @Test func nonsenseIsNotSuggested() throws {
    let outcome = try workspace.thaw("train", "--run", "r", "--zzzzzzzz", "1")
    #expect(outcome.errors == ["error: Unknown option '--zzzzzzzz'."], "\(outcome.stderr)")
  }

  /// Who asks for help gets it, whatever else is wrong with the line.
  @Test func helpIsHelpBesideAMistake() throws {
    for arguments in [["fit", "--lr", "0.1", "--help"], ["fit", "x", "--lr", "1", "--help-all"]] {
      let outcome = try workspace.start(arguments).wait()
      #expect(outcome.status == 0 && outcome.stdout.hasPrefix("OVERVIEW: "), "\(arguments)")
    }
  }

  /// `text` on one line.
  private func words(_ text: String) -> String {
    text.split(whereSeparator: \.isWhitespace).joined(separator: " ")
  }

  private func names(in help: String) -> [String] {
    let parts = help.components(separatedBy: "SUBCOMMANDS:\n")
    guard parts.count == 2 else { return [] }
    return parts[1].split(separator: "\n").compactMap { line in
      guard line.hasPrefix("  "), line.dropFirst(2).first != " ", !line.contains("See '") else {
        return nil
      }
      return line.split(separator: " ").first.map(String.init)
    }
  }

  @Test(arguments: [
    ["bogus"], ["fit"], ["train", "--run", ""], ["fit", "", "--run", "run"],
    ["fit", "photos", "--run", "run", "--threads", "0"],
    ["fit", "photos", "--run", "run", "--seed", "18446744073709551616"],
    ["fit", "photos", "--run", "run", "--epochs", "0"],
    ["fit", "photos", "--run", "run", "--valid", "nan"],
    ["fit", "photos", "--run", "run", "--valid", "0.6", "--test", "0.6"],
    ["fit", "photos", "--run", "run", "--solver", "magic"],
    ["fit", "photos", "--run", "run", "--epochs", "head:0"],
    ["fit", "photos", "--run", "run", "--learning-rate", "1e-2"],
    ["fit", "photos", "--run", "run", "--momentum", "fine-tune:0.9"],
    ["fit", "photos", "--run", "run", "--epochs", "fine-tune:3", "--no-fine-tune"],
    ["prepare", "photos", "--run", "run", "--cycle-length", "3"],
    ["train", "--run", "run", "--valid", "0.3"], ["find-lr", "--run", "run", "--iterations", "0"],
    ["evaluate", "--run", "run", "--rename", "a=b"],
    ["evaluate", "--run", "run", "--on-bad-image", "skip"],
    ["evaluate"], ["evaluate", "--run", "a", "--model", "b"], ["evaluate", "--model", "b"],
    ["evaluate", "--run", "run", "--tta", "0"], ["predict", "--model", "m"],
    ["predict", "--model", "m", "x.png", "--json", "--format", "csv"],
  ])
  func wrongUsageEndsWith64AndOneErrorLine(arguments: [String]) throws {
    let outcome = try workspace.start(arguments).wait()
    #expect(outcome.status == 64)
    #expect(outcome.stdout.isEmpty)
    #expect(outcome.errors.count == 1)
    #expect(try FileManager.default.contentsOfDirectory(atPath: workspace.path.string).isEmpty)
  }
}
