// SPDX-License-Identifier: Apache-2.0

import ThawConfiguration
import ThawNetwork

extension YAMLFields {
  /// Reads a batch-norm mode, or the system whose way is meant.
  ///
  /// - Parameter isFrozen: whether the batch norms meant are in frozen groups.
  mutating func readBatchNorm(
    _ key: String, into mode: inout BatchNormMode, isFrozen: Bool = true
  ) throws {
    var name = mode.rawValue
    try read(key, into: &name)
    guard let known = isFrozen ? BatchNormMode(frozen: name) : BatchNormMode(trainable: name) else {
      throw error(
        at: key,
        "'\(key)' is '\(name)', expected one of \(BatchNormMode.knownNames.joined(separator: ", "))."
      )
    }
    mode = known
  }
}
