// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Glibc
import ThawConsole

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
      """,
    version: "thaw \(thawVersion)",
    subcommands: [
      Fit.self, Prepare.self, Pretrained.self, Cache.self, Train.self, Evaluate.self,
      FindLearningRate.self, FineTune.self, Predict.self, Export.self, Report.self, Augment.self,
      Diagnose.self,
    ])

  static func main() {
    StandardStreams.occupy()
    Interruption.install()
    do {
      var command = try parseAsRoot()
      try command.run()
    } catch {
      ErrorReport(error).printAndExit()
    }
  }
}
