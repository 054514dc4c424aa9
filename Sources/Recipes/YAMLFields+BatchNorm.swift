// SPDX-License-Identifier: Apache-2.0

package import ThawConfiguration
package import ThawNetwork

extension YAMLFields {
  /// Reads a batch-norm mode, or the system whose way is meant; nil stands for `inference`.
  ///
  /// - Parameter isFrozen: whether the batch norms meant are in frozen groups.
  package mutating func readBatchNorm(
    _ key: String, into mode: inout BatchNormMode?, isFrozen: Bool = true
  ) throws {
    var name = (mode ?? .inference).rawValue
    try read(key, into: &name)
    guard let known = isFrozen ? BatchNormMode(frozen: name) : BatchNormMode(trainable: name) else {
      throw error(
        at: key,
        "'\(key)' is '\(name)', expected one of \(BatchNormMode.knownNames.joined(separator: ", "))."
      )
    }
    mode = known == .inference && mode == nil ? nil : known
  }

  /// The same where a mode is always there.
  package mutating func readBatchNorm(
    _ key: String, into mode: inout BatchNormMode, isFrozen: Bool = true
  ) throws {
    var other: BatchNormMode? = mode
    try readBatchNorm(key, into: &other, isFrozen: isFrozen)
    mode = other ?? .inference
  }
}
