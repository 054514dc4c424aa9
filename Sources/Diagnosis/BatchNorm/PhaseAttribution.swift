// SPDX-License-Identifier: Apache-2.0

import ThawExecution
import ThawNetwork
import ThawOneDNN
import ThawTensors

/// What switching batch norms from running to batch statistics does to the loss.
package struct PhaseAttribution: Sendable {
  /// Photos it was measured on.
  package let photos: Int
  /// Loss with every batch norm on its running statistics.
  package let inferenceLoss: Double
  /// Loss with every batch norm on the batch's statistics.
  package let trainingLoss: Double
  /// Loss with that layer alone on the batch's statistics, by layer in order of computation.
  package let alone: [Double]
  /// Loss with all layers up to and including that one on the batch's statistics; nil for every other
  /// layer, which saves a third of the time and changes no picture.
  package let upTo: [Double?]
  /// Loss with that layer group alone on the batch's statistics; nil for groups without batch norm.
  package let groups: [Double?]

  /// Measures `network` on `photos`.
  ///
  /// - Parameter check: called after each batch of a pass; stops by throwing.
  package init(
    _ network: PhasedNetwork, _ photos: LabelledTensors, batch: Int, seed: UInt64,
    check: () throws -> Void = {}
  ) throws {
    let count = network.layers.count
    var alone = [Double](repeating: 0, count: count)
    var upTo = [Double?](repeating: nil, count: count)
    var groups = [Double?](repeating: nil, count: network.graph.groups.count)
    var (inference, training) = (0.0, 0.0)
    for indices in photos.batches(of: batch, seed: seed) {
      let labels = indices.map { photos.labels[$0] }
      func loss(_ logits: [Float]) -> Double {
        Tensor(logits, shape: [labels.count, network.classes]).crossEntropies(labels)
          .reduce(0, +) / Double(photos.count)
      }
      let input = photos.copy(indices)
      let running = try network.trace(input, BatchNormInspection(batchStatistics: .none))
      let switched = try network.trace(input, BatchNormInspection(batchStatistics: .all))
      inference += loss(running.logits)
      training += loss(switched.logits)
      for (index, layer) in network.layers.enumerated() {
        alone[index] += loss(
          try network.logits(
            from: layer.piece, of: running,
            BatchNormInspection(batchStatistics: .only([layer.path]))))
        try check()
        guard (count - 1 - index) % 2 == 0 else { continue }
        let first = Set(network.layers[...index].map(\.path))
        upTo[index, default: 0] += loss(
          try network.logits(
            from: layer.piece, of: switched, BatchNormInspection(batchStatistics: .only(first))))
      }
      for group in groups.indices {
        let own = network.layers.filter { $0.group == group }
        guard let first = own.first else { continue }
        let selection = BatchNormInspection.Selection.only(Set(own.map(\.path)))
        groups[group, default: 0] += loss(
          try network.logits(
            from: first.piece, of: running, BatchNormInspection(batchStatistics: selection)))
      }
    }
    self.photos = photos.count
    (inferenceLoss, trainingLoss) = (inference, training)
    (self.alone, self.upTo, self.groups) = (alone, upTo, groups)
  }
}

extension [Double?] {
  fileprivate subscript(index: Int, default value: Double) -> Double {
    get { self[index] ?? value }
    set { self[index] = newValue }
  }
}
