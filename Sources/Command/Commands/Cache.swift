// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import SystemPackage
import ThawConsole
import ThawFiles
import ThawRuns

/// `thaw cache`
struct Cache: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Compute the frozen layers once for every photo.")

  @Option(name: .customLong("run"), help: "Run directory.")
  var directory: RunDirectory

  @OptionGroup(title: "Every command") var global: GlobalOptions

  func run() throws {
    let session = Session(global)
    let summary = try CacheStage(session.open(directory)).fill()
    try session.print(summary, text: summary.text)
  }
}

extension CacheStage.Summary {
  /// One line for people.
  var text: String {
    computed == 0
      ? "\(count == 1 ? "The photo is" : "All \(count) photos are") cached already."
      : "Cached \(computed) of \(counted(count, "photo")), \(features) features each, at"
        + " \(Format.significant(imagesPerSecond)) photos/s."
  }
}
