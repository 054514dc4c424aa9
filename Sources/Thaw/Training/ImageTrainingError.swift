// SPDX-License-Identifier: Apache-2.0

import ThawRuns

/// Why a training ended without a model. One that was cancelled throws `CancellationError` instead.
public struct ImageTrainingError: Error, Sendable, Hashable, CustomStringConvertible {
  /// What kind of thing went wrong, so that a program can decide what to do.
  public enum Kind: Sendable, Hashable {
    /// Options or a recipe that make no sense, or not together.
    case options
    /// Photos, weights or a run directory that cannot be used.
    case data
    /// The training diverged; the text says where, and where its last good weights are.
    case diverged
    /// Reading, writing or fetching failed.
    case inputOutput
    /// Another process or training works in the run directory.
    case inUse
    /// None of these.
    case other
  }

  /// What kind of thing went wrong.
  public let kind: Kind
  /// Where, what, expected against found, next step.
  public let description: String

  init(_ error: any Error) {
    description = "\(error)"
    kind =
      switch exitCode(of: error) {
      case 1: .diverged
      case 64: .options
      case 65: .data
      case 74: .inputOutput
      case 75: .inUse
      default: .other
      }
  }
}
