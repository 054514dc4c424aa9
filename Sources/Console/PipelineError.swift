// SPDX-License-Identifier: Apache-2.0

import SystemPackage
import ThawFiles

/// A stage cannot do its work for a reason that belongs to no single module.
package enum PipelineError: Error, Sendable, Equatable, CustomStringConvertible {
  /// An earlier stage has not run.
  case notPrepared(String, needs: String, command: String)
  /// Options that cannot go together or make no sense.
  case usage(String)
  /// Data that cannot be used together with a model.
  case data(String)
  /// A training diverged; the text says where and which file holds the last good weights.
  case diverged(String)
  /// The user asked to stop.
  case interrupted

  /// Where, what, next step.
  package var description: String {
    switch self {
    case .notPrepared(let run, let needs, let command):
      (FileSystem.exists(FilePath(run))
        ? "\(run): there is no \(needs) yet" : "\(run): there is no such run directory")
        + ". Run first: \(command) --run \(ShellWord.quote(run))"
    case .usage(let text), .data(let text), .diverged(let text): text
    case .interrupted:
      "interrupted. Give the same command again; what a run directory holds by now is kept."
    }
  }
}
