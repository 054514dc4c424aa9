// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import SystemPackage
import ThawImages
import ThawRuns

/// `thaw augment`
struct Augment: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Show what augmentation does to the training photos.",
    discussion: "Only training photos are ever augmented.")

  @Option(name: .customLong("run"), help: "Run directory.")
  var directory: RunDirectory

  @Option(help: "PNG file to write the contact sheet to.")
  var preview: FilePath

  @Option(help: "none, photo, top-down, document, mirror or crops (default: the recipe's).")
  var augmentation: Augmentation.Preset?

  @Option(help: "Photos to show, one a row.")
  var photos = 6

  @Option(help: "Augmented views a photo.")
  var draws = 7

  @OptionGroup(title: "Every command") var global: GlobalOptions

  func validate() throws {
    guard (1...100).contains(photos), (1...50).contains(draws) else {
      throw ValidationError("--photos must be 1 to 100 and --draws 1 to 50.")
    }
  }

  func run() throws {
    let session = Session(global)
    let summary = try AugmentStage(context: try session.context()).preview(
      of: directory, augmentation, to: preview, photos: photos, draws: draws)
    try session.print(summary, text: summary.text)
  }
}

extension AugmentStage.Summary {
  /// What the sheet shows, for people.
  var text: String {
    let lines = operations.map { "  \($0.name): \($0.range)" }
    return
      ([lines.isEmpty ? "No augmentation." : "Augmentation '\(augmentation)':"] + lines
      + ["\(preview) written."]).joined(separator: "\n")
  }
}
