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
  /// The modules that kept the tensors, when the file holds a whole pickled module; their paths are
  /// without ``prefix``.
  package var modules: [PickledModule] = []
  /// Names of the classes of pickled losses, `BCEWithLogitsLoss`, each once.
  package var losses: [String] = []
  /// Means and deviations, three each, of a pickled `Normalize`: what was done to photos' samples of 0 to 1.
  /// Nil without one, or with several that differ.
  package var normalization: PickledNormalization?

  /// Nothing but the defaults.
  package init() {}
}

/// The numbers of a pickled `Normalize` of fastai's or torchvision's.
package struct PickledNormalization: Sendable, Equatable {
  package let mean: [Double]
  package let std: [Double]

  package init(mean: [Double], std: [Double]) {
    self.mean = mean
    self.std = std
  }
}
