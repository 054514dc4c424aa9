// SPDX-License-Identifier: Apache-2.0

import ThawCheckpoints
package import ThawGraphs
package import ThawImages
import ThawNetwork

extension CheckpointIdentity {
  /// The network known by name that computes exactly what `network` does, from the same tensors; nil when
  /// there is none.
  ///
  /// - Parameter side: of the photos, in pixels.
  package func known(_ network: KerasNetwork, side: Int) -> WeightFit? {
    guard let fit = best, fit.isComplete, fit.computes(network, side: side) else { return nil }
    return fit
  }
}

extension WeightFit {
  /// Whether this network computes what the configuration says.
  func computes(_ network: KerasNetwork, side: Int) -> Bool {
    guard let graph = try? graph() else { return false }
    return SameFunction.holds(
      graph, network.graph, size: Extent2D(side),
      sources: (left: { source(of: $0) }, right: { network.source(of: $0) }))
  }
}

extension KerasNetwork {
  /// How photos are usually prepared for such a network, when its file says nothing of it: by the names
  /// of its layers, or by the network that its tensors are mostly those of.
  package func usualPreprocessing(_ identity: CheckpointIdentity) -> Preprocessing? {
    if let card = identity.card { return card.preprocessing }
    return family?.preprocessing ?? (identity.best == nil ? nil : identity.preprocessing)
  }
}
