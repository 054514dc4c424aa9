// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import SystemPackage
import ThawConsole
import ThawDatasets
import ThawFiles
import ThawReview
import ThawRuns

/// `thaw review`
struct Review: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Look at doubtful photos in the browser: keep, relabel or drop.",
    discussion: """
      Opens a page on this machine alone, over suspicious labels, mistakes, near-duplicates and photos unlike \
      the others. Decisions go to review.tsv in the run as they are made, and thaw prepare (or fit) applies \
      them; the photos themselves stay what they are unless --apply-to-files says otherwise.
      """)

  @Option(name: .customLong("run"), help: "Run directory.")
  var directory: RunDirectory

  @Option(help: "Port of the page (default: any free one).")
  var port: Int?

  @Flag(help: "Do not open the page: train the head with and without the decisions, and compare.")
  var gain = false

  @Option(
    help: """
      Do not open the page: move photos to the folders of their decided classes, dropped ones to dropped/ in the \
      run; or copy the photos as decided into --output.
      """)
  var applyToFiles: ReviewedFiles.Method?

  @Option(help: "With --apply-to-files copy: a new folder.", completion: .directory)
  var output: FilePath?

  @Flag(help: "Do not open the page: move back what --apply-to-files move moved.")
  var undoFiles = false

  @OptionGroup(title: "Every command") var global: GlobalOptions

  func validate() throws {
    if let port, !(0...65535).contains(port) {
      throw ValidationError("--port is \(port), expected 0 to 65535.")
    }
    let chosen = [gain, applyToFiles != nil, undoFiles].count { $0 }
    guard chosen <= 1 else {
      throw ValidationError("--gain, --apply-to-files and --undo-files exclude each other.")
    }
    guard port == nil || chosen == 0 else {
      throw ValidationError("--port has no effect: no page is opened.")
    }
    guard (output != nil) == (applyToFiles == .copy) else {
      throw ValidationError("--output and --apply-to-files copy belong together.")
    }
  }

  func run() throws {
    let session = Session(global)
    let run = try session.open(directory)
    if gain {
      let result = try ReviewGain(run, ReviewDecisions(contentsOf: run.directory.review))
      return try session.print(result, text: result.text)
    }
    if undoFiles || applyToFiles != nil {
      let files = ReviewedFiles(run)
      let result =
        undoFiles
        ? try files.undo() : try applyToFiles == .copy ? files.copy(to: output ?? "") : files.move()
      return try session.print(result, text: result.text)
    }
    let made = try ReviewStage(run).serve(port: port ?? 0, seed: global.seed ?? 0) { opened in
      try session.print(
        opened,
        text: """
          \(counted(opened.count, "photo")) to look at, \(opened.open) of them undecided.
          \(opened.address)
          Open this address in a browser on this machine. Ctrl-C ends the review; decisions are kept.

          """)
    }
    session.console.say(
      made == 0
        ? "No decision was made."
        : "\(counted(made, "decision")) in \(run.directory.review.displayed). To apply them and train again:"
          + " thaw fit \(run.manifest.root.filePath.quoted) --run \(run.directory.path.quoted); what they bring:"
          + " thaw review --run \(run.directory.path.quoted) --gain")
  }
}

extension ReviewedFiles.Method: ExpressibleByArgument {}
