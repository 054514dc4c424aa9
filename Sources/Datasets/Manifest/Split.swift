// SPDX-License-Identifier: Apache-2.0

/// What a photo is used for.
package enum Split: String, Sendable, Hashable, Codable, CaseIterable {
  /// Fits the parameters.
  case train
  /// Chooses among fits: early stopping, hyper-parameters.
  case valid
  /// Measures the choice, once.
  case test

  /// The split that a folder of this name stands for, upper or lower case; nil for other names.
  ///
  /// `train`, `training`; `valid`, `val`, `validation`; `test`, `testing`.
  package init?(folderName: String) {
    switch folderName.lowercased() {
    case "train", "training": self = .train
    case "valid", "val", "validation": self = .valid
    case "test", "testing": self = .test
    default: return nil
    }
  }
}
