// SPDX-License-Identifier: Apache-2.0

package import ThawNetwork

/// Turns pieces of a network into plans. Two exist: `OneDNNEngine` (fast) and `ReferenceEngine` (the
/// oracle, and the fallback where oneDNN is missing an operation).
package protocol Engine: Sendable {
  /// For messages, for example `oneDNN 2.6.3`.
  var name: String { get }

  /// Compiles `operations`, which read the result of `source` (the input node for a prefix).
  ///
  /// - Parameters:
  ///   - graph: the whole network.
  ///   - operations: consecutive fused operations; all other inputs they need come from among themselves.
  ///   - source: the node whose result is the plan's input.
  ///   - parameters: at least those of `operations`.
  ///   - microBatch: images per pass, at least 1.
  ///   - size: of the *network's* input image, in pixels.
  func compileInference(
    _ graph: Graph, operations: [FusedOperation], from source: NodeID, parameters: Parameters,
    microBatch: Int, size: Extent2D
  ) throws -> any InferencePlan

  /// Compiles `nodes` for training, reading the result of `source`.
  ///
  /// - Parameter batch: the largest batch of a step.
  func compileTraining(
    _ graph: Graph, nodes: [Node], from source: NodeID, parameters: Parameters,
    freezing plan: FreezePlan, batch: Int, size: Extent2D
  ) throws -> any TrainingPlan
}
