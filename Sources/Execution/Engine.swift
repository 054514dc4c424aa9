// SPDX-License-Identifier: Apache-2.0

package import ThawNetwork

/// Turns pieces of a network into plans. Two exist: `OneDNNEngine` (fast) and `ReferenceEngine` (the
/// oracle, and the fallback where oneDNN is missing an operation).
package protocol Engine: Sendable {
  /// For messages, for example `oneDNN 2.6.3`.
  var name: String { get }

  /// In which numbers inference of `precision` is really computed on this machine.
  func computed(_ precision: Precision) -> Precision

  /// Compiles `operations`, which read the result of `source` (the input node for a prefix).
  ///
  /// - Parameters:
  ///   - graph: the whole network; its ``Graph/precision`` is that of the plan.
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

extension Engine {
  /// Float32 for bfloat16, unless an engine says otherwise; bytes are whole numbers to everybody.
  package func computed(_ precision: Precision) -> Precision {
    precision == .int8 ? .int8 : .float32
  }

  /// What decides the numbers that come out of inference, besides the network: the engine and its
  /// version, and the precision where it is not Float32. For example `oneDNN 2.6.3 bfloat16`.
  package func name(for graph: Graph) -> String {
    switch computed(graph.precision) {
    case .float32: name
    case .bfloat16: name + " bfloat16"
    case .int8: name + " int8"
    }
  }
}
