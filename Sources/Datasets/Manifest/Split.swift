// SPDX-License-Identifier: Apache-2.0

/// What a photo is used for.
package enum Split: String, Sendable, Hashable, Codable, CaseIterable {
  /// Fits the parameters.
  case train
  /// Chooses among fits: early stopping, hyper-parameters.
  case valid
  /// Measures the choice, once.
  case test
}
