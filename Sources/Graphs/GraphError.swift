// SPDX-License-Identifier: Apache-2.0

/// A network that a file describes, or is to be written into one, has no counterpart.
package enum GraphError: Error, Sendable, Equatable, CustomStringConvertible {
  /// A layer has no counterpart in the format.
  case notExportable(layer: String, reason: String)
  /// A graph, or a part of it that the reason names, has no counterpart here.
  case notImportable(file: String, reason: String)

  /// Where, what, next step.
  package var description: String {
    switch self {
    case .notExportable(let layer, let reason):
      "layer '\(layer)' cannot be written: \(reason). Export to safetensors instead."
    case .notImportable(let file, let reason): "\(file): \(reason)."
    }
  }
}
