// SPDX-License-Identifier: Apache-2.0

package import ThawNetwork

/// One inspected pass: which batch norms use the batch's own statistics in it, and what every batch
/// norm's input was. Nothing moves, nothing is dropped.
package final class BatchNormInspection {
  private let selected: Selection
  /// Moments of the input of every batch norm that took part, merged over the passes.
  package private(set) var moments: [ParameterPath: ChannelMoments] = [:]

  /// Which batch norms use the statistics of the batch.
  package enum Selection: Sendable, Hashable {
    /// None: the network as it runs in inference.
    case none
    /// All: the network as it runs in training.
    case all
    /// Exactly these layers.
    case only(Set<ParameterPath>)

    /// Whether the layer at `path` is among them.
    package func contains(_ path: ParameterPath) -> Bool {
      switch self {
      case .none: false
      case .all: true
      case .only(let paths): paths.contains(path)
      }
    }
  }

  /// A pass, or several whose moments are to be merged.
  package init(batchStatistics selected: Selection) { self.selected = selected }

  /// Whether the layer at `path` normalises by the batch.
  package func usesBatch(_ path: ParameterPath) -> Bool { selected.contains(path) }

  /// Notes the input of one layer, `count` values a channel.
  package func record(
    _ path: ParameterPath, count: Int, _ channels: [(mean: Double, variance: Double)]
  ) {
    let new = ChannelMoments(
      count: count, mean: channels.map(\.mean), variance: channels.map(\.variance))
    if moments[path] == nil { moments[path] = new } else { moments[path]?.merge(new) }
  }
}

/// A plan whose batch norms can be switched one by one between the two learning phases.
///
/// Only those take part that were compiled in a mode that uses batch statistics; see
/// ``Compiler/compileInspection(_:parameters:from:to:batch:size:)``.
package protocol BatchNormInspectable: TrainingPlan {
  /// Forward pass without dropout in which the batch norms that `inspection` selects use the batch's
  /// statistics and the others the running ones.
  ///
  /// - Parameters:
  ///   - input: n samples, 1 <= n <= batch.
  ///   - output: n rows of results are written here.
  /// - Throws: ``NetworkError/degenerateBatch(layer:)``, ``ExecutionError``.
  func inspect(
    _ input: UnsafeBufferPointer<Float>, _ inspection: BatchNormInspection,
    into output: UnsafeMutableBufferPointer<Float>) throws
}

extension Compiler {
  /// Compiles the part of `graph` after `source` up to `end` (the whole network by default) such that
  /// each of its batch norms can be inspected and switched.
  ///
  /// - Parameter batch: the most images of a pass.
  /// - Throws: ``NetworkError``, ``ExecutionError``.
  package func compileInspection(
    _ graph: Graph, parameters: Parameters, from source: NodeID? = nil, to end: NodeID? = nil,
    batch: Int, size: Extent2D
  ) throws -> any BatchNormInspectable {
    let first = source ?? graph.nodes[0].id
    let last = (end ?? graph.output.id).index
    let plan = try trainingEngine.compileTraining(
      graph, nodes: Array(graph.nodes[(first.index + 1)...last]), from: first,
      parameters: parameters,
      freezing: FreezePlan(trainable: [], frozenBatchNorm: .batchStatistics),
      batch: batch, size: size)
    guard let inspectable = plan as? any BatchNormInspectable else {
      throw ExecutionError.uninspectable(engine: trainingEngine.name)
    }
    return inspectable
  }
}
