// SPDX-License-Identifier: Apache-2.0

import ThawBackbones
import ThawConsole
import ThawInference
import ThawRanks
import ThawRuns

/// What a command works with, made from the global options.
struct Session {
  let options: GlobalOptions
  let console: Console
  private let memory: Int?

  /// - Parameter memory: bytes that it may take; nil for what there is.
  init(_ options: GlobalOptions, memory: Int? = nil) {
    self.options = options
    self.memory = memory
    console = Console(isQuiet: options.quiet)
  }

  /// The context of a stage.
  func context() throws -> StageContext {
    StageContext(
      console: console, threads: options.threads, memory: memory, engine: options.engine,
      pretrained: try pretrained(), ranks: RankGroup.current)
  }

  /// The folder of cards. Weights that are missing are fetched when they are needed, the one place
  /// that says so, unless `--offline` forbids it.
  func pretrained() throws -> PretrainedStore {
    var store = try PretrainedStore.locate()
    if !options.offline {
      let console = console
      store.missingWeights = .fetched(
        report: { console.say($0) }, checkpoint: { try Interruption.check() })
    }
    return store
  }

  /// A prepared run, under its lock.
  func open(_ directory: RunDirectory) throws -> OpenRun {
    try OpenRun(directory, context: try context())
  }

  /// Prints a result: the JSON document, or else the text for people.
  func print(_ result: some Encodable, text: String) throws {
    if options.json {
      try standardOutput(.document(try JSONText.of(result) + "\n"))
    } else {
      try standardOutput(.text(text + (text.hasSuffix("\n") ? "" : "\n")))
    }
  }
}
