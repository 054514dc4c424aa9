// SPDX-License-Identifier: Apache-2.0

import Backbones
import Files
import Pipeline
import SystemPackage

/// What a command works with, made from the global options.
struct Session {
  let options: GlobalOptions
  let console: Console

  init(_ options: GlobalOptions) {
    self.options = options
    console = Console(isQuiet: options.quiet)
  }

  /// The context of a stage.
  func context() throws -> StageContext {
    StageContext(console: console, threads: options.threads, pretrained: try .locate())
  }

  /// Prints a result: the JSON document, or the text for people unless quiet.
  func print(_ result: some Encodable, text: String) throws {
    if options.json {
      try standardOutput(try JSONText.of(result) + "\n")
    } else if !options.quiet {
      try standardOutput(text + (text.hasSuffix("\n") ? "" : "\n"))
    }
  }
}

/// Writes to stdout; a full disk or a reader that has gone is an error.
func standardOutput(_ text: String) throws {
  var text = text
  try text.withUTF8 { bytes in
    _ = try FileDescriptor.standardOutput.writeAll(UnsafeRawBufferPointer(bytes))
  }
}
