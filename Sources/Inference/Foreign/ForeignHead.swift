// SPDX-License-Identifier: Apache-2.0

package import ThawBackbones
package import ThawCheckpoints
package import ThawNetwork

/// A classifier that is known by its library and is no dense layer behind pooled features.
package protocol ForeignHead: Sendable {
  /// Number of classes.
  var classes: Int { get }
  /// The names of its tensors in the file.
  var names: [String] { get }
  /// For people: `fastai's classifier`.
  var label: String { get }
  /// The backbone with this classifier, and the weights of both.
  ///
  /// - Throws: `CheckpointError` when the file can no longer be read.
  func network(
    _ fit: WeightFit, _ backbone: Parameters
  ) throws -> (graph: Graph, parameters: Parameters)
}

/// Finds such a classifier.
package enum ForeignHeads {
  /// The classifier beside `fit`'s backbone; nil when there is none that is known.
  package static func found(
    _ checkpoint: Checkpoint, _ fit: WeightFit
  ) -> (any ForeignHead)? {
    ConcatPoolHead(checkpoint, fit) ?? FireClassifier(checkpoint, fit)
  }
}
