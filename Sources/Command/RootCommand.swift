// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Glibc
import ThawConsole
import ThawRanks

/// The command line: parses, calls a stage, prints.
@main
struct RootCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "thaw",
    abstract: "Fine-tune pretrained image classifiers on a folder of photos.",
    discussion: """
      One command from photos to a classifier:
        thaw fit photos --run runs/mine        (photos/CLASS/*.jpg)
        thaw predict --model runs/mine/model.safetensors new.jpg
      Each command's --help shows the usual options, --help-all every one.
      """,
    version: "thaw \(thawVersion)",
    subcommands: [
      Fit.self, Prepare.self, Pretrained.self, Cache.self, Train.self, Evaluate.self,
      FindLearningRate.self, FineTune.self, SearchCommand.self, CrossValidate.self, Predict.self,
      Explain.self, Embed.self, Similar.self, Quantize.self, Serve.self, Export.self, Report.self,
      Augment.self, Diagnose.self, Review.self, Plan.self, Doctor.self,
    ])

  static func main() {
    StandardStreams.occupy()
    Interruption.install()
    do {
      try LaunchedRanks.join()
      var command = try parseAsRoot(arguments)
      try LaunchedRanks.requireSpreading(command)
      try command.run()
      RankGroup.current.leave(0)
    } catch {
      ErrorReport(error).printAndExit()
    }
  }

  /// What was given on the command line, with `--help-all` as the parser calls it.
  private static var arguments: [String] {
    let given = Array(CommandLine.arguments.dropFirst())
    let end = given.firstIndex(of: "--") ?? given.endIndex
    return given[..<end].map { $0 == "--help-all" ? "--help-hidden" : $0 } + given[end...]
  }

  /// `thaw` alone: the two commands that people need.
  func run() throws {
    try standardOutput(
      .text(
        """
        thaw \(thawVersion): fine-tune pretrained image classifiers on a folder of photos.

          thaw fit PHOTOS                      trains on PHOTOS/CLASS/*.jpg, leaves a model and a report
          thaw predict --model MODEL PHOTO...  names the class of new photos

        My network is worse than it should be:  thaw diagnose batchnorm --help
        Every command:                          thaw --help

        """))
  }
}
