// SPDX-License-Identifier: Apache-2.0

/// What a file holds around the tensors that were taken: where they were, what else there is, and
/// what was left out.
package struct CheckpointSurroundings: Sendable, Equatable {
  /// The keys that lead to the tensors, `ema.module`; empty at the top.
  package var place = ""
  /// Whether the user chose that place.
  package var isChosen = false
  /// What stood before every name and was removed.
  package var prefix = ""
  /// Other places with as many tensors, which the user may choose instead.
  package var alternatives: [String] = []
  /// Entries that are not read, each with what it is: `'args' (argparse.Namespace)`.
  package var leftOut: [String] = []
  /// The plain data beside the tensors: texts, numbers, lists, mappings.
  package var data = JSONValue.null
  /// Lists of class names that are known to be such by the class that holds them.
  package var vocabularies: [[String]] = []
  /// The library that wrote the file; nil when it does not show.
  package var writer: String?
}
