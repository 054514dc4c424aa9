// SPDX-License-Identifier: Apache-2.0

import ThawExecution
import ThawNetwork
import ThawOneDNN
package import ThawRanks
import ThawTensors

/// What switching batch norms from running to batch statistics does to the loss.
package struct PhaseAttribution: Sendable {
  /// Photos it was measured on.
  package let photos: Int
  /// Loss with every batch norm on its running statistics.
  package private(set) var inferenceLoss: Double
  /// Loss with every batch norm on the batch's statistics.
  package private(set) var trainingLoss: Double
  /// Loss with that layer alone on the batch's statistics, by layer in order of computation.
  package private(set) var alone: [Double]
  /// Loss with all layers up to and including that one on the batch's statistics; nil for every other
  /// layer, which saves a third of the time and changes no picture.
  package private(set) var upTo: [Double?]
  /// Loss with that layer group alone on the batch's statistics; nil for groups without batch norm.
  package private(set) var groups: [Double?]

  /// A pass that is asked for: what is switched, behind what the network gave in one of the phases.
  private struct Pass {
    let piece: Int
    let isBehindSwitched: Bool
    let layers: Set<ParameterPath>
    /// Adds its loss where it belongs.
    let keep: (inout PhaseAttribution, Double) -> Void
  }

  /// Measures `network` on `photos`.
  ///
  /// - Parameters:
  ///   - ranks: who makes the passes; all of them come here and get all results.
  ///   - check: called after each layer of a batch that is switched alone here; stops by throwing.
  package init(
    _ network: PhasedNetwork, _ photos: LabelledTensors, batch: Int, seed: UInt64,
    ranks: RankGroup = .alone, check: () throws -> Void = {}
  ) throws {
    let count = network.layers.count
    self.photos = photos.count
    (inferenceLoss, trainingLoss) = (0, 0)
    alone = [Double](repeating: 0, count: count)
    upTo = [Double?](repeating: nil, count: count)
    groups = [Double?](repeating: nil, count: network.graph.groups.count)
    let passes = PhaseAttribution.passes(network)
    for indices in photos.batches(of: batch, seed: seed) {
      let labels = indices.map { photos.labels[$0] }
      func loss(_ logits: [Float]) -> Double {
        Tensor(logits, shape: [labels.count, network.classes]).crossEntropies(labels)
          .reduce(0, +) / Double(photos.count)
      }
      let input = photos.copy(indices)
      let running = try network.trace(input, BatchNormInspection(batchStatistics: .none))
      let switched = try network.trace(input, BatchNormInspection(batchStatistics: .all))
      inferenceLoss += loss(running.logits)
      trainingLoss += loss(switched.logits)
      let before = network.pieceRuns
      let losses: [Double] = try ranks.rows(passes.count, width: 1) { index, place in
        let pass = passes[index]
        place[0] = loss(
          try network.logits(
            from: pass.piece, of: pass.isBehindSwitched ? switched : running,
            BatchNormInspection(batchStatistics: .only(pass.layers))))
        if index < count { try check() }
      }
      network.pieceRuns = passes.reduce(before) {
        $0 + (network.pieceCount - $1.piece) * indices.count
      }
      for (pass, loss) in zip(passes, losses) { pass.keep(&self, loss) }
    }
  }

  /// Each layer alone, then every other one with those before it, then each group.
  private static func passes(_ network: PhasedNetwork) -> [Pass] {
    let layers = network.layers
    let alone = layers.enumerated().map { index, layer in
      Pass(piece: layer.piece, isBehindSwitched: false, layers: [layer.path]) {
        $0.alone[index] += $1
      }
    }
    let upTo = layers.indices.filter { (layers.count - 1 - $0) % 2 == 0 }.map { index in
      Pass(
        piece: layers[index].piece, isBehindSwitched: true,
        layers: Set(layers[...index].map(\.path))
      ) { $0.upTo[index, default: 0] += $1 }
    }
    let groups = network.graph.groups.indices.compactMap { group -> Pass? in
      let own = layers.filter { $0.group == group }
      guard let first = own.first else { return nil }
      return Pass(
        piece: first.piece, isBehindSwitched: false, layers: Set(own.map(\.path))
      ) { $0.groups[group, default: 0] += $1 }
    }
    return alone + upTo + groups
  }
}

extension [Double?] {
  fileprivate subscript(index: Int, default value: Double) -> Double {
    get { self[index] ?? value }
    set { self[index] = newValue }
  }
}
