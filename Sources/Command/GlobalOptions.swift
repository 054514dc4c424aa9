// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import ThawInference

/// What every command takes.
struct GlobalOptions: ParsableArguments {
  @Flag(name: .long, help: "Print exactly one JSON document on stdout; progress goes to stderr.")
  var json = false

  @Option(name: .long, help: "Seed of every random stream (default: the recipe's).")
  var seed: UInt64?

  @Option(name: .long, help: "Compute threads (default: the cores it may use).")
  var threads: Int?

  @Option(
    name: .long,
    help: ArgumentHelp(
      "Kernels: onednn, or reference (slow, for comparison).", visibility: .hidden))
  var engine = StageContext.EngineChoice.oneDNN

  @Flag(name: .long, help: "Download nothing; weights that are not here are an error.")
  var offline = false

  @Flag(name: .long, help: "No progress and no remarks; errors and results only.")
  var quiet = false

  func validate() throws {
    if let threads, !(1...1024).contains(threads) {
      throw ValidationError("--threads is \(threads), expected 1 to 1024.")
    }
  }
}
