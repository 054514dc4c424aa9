// SPDX-License-Identifier: Apache-2.0

package import ThawArchives

/// A weight file that cannot be used. It is the only error that reading a checkpoint throws.
package typealias CheckpointError = FormatError

extension FormatError {
  /// The tensors of `checkpoint` are not those that are needed.
  package static func mismatch(_ checkpoint: Checkpoint, _ reason: String) -> CheckpointError {
    CheckpointError(checkpoint.path, .mismatch, reason)
  }
}

/// The first ten of `names` in quotes.
func listed(_ names: [String]) -> String {
  let shown = names.prefix(10).map(quoted).joined(separator: ", ")
  return names.count > 10 ? "\(shown), …" : shown
}
