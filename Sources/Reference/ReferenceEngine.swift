// SPDX-License-Identifier: Apache-2.0

package import ThawExecution
package import ThawNetwork
package import ThawTensors

/// Executes the nodes of a graph one by one on OpenBLAS and plain loops: nothing is folded or fused.
///
/// It is the oracle for the other engines (being independent of the folding it checks) and the
/// fallback where they lack an operation. `Float` is for work, `Double` for gradient checks.
/// Layouts are PyTorch's throughout; images of a micro-batch are computed one by one, so a result
/// never depends on its neighbours.
package struct ReferenceEngine<Scalar: BLASScalar>: Engine {
  /// An engine; it keeps nothing, all memory belongs to the plans.
  package init() {}

  /// `reference (Float)` or `reference (Double)`.
  package var name: String { "reference (\(Scalar.self))" }

  /// See ``Engine/compileInference(_:operations:from:parameters:microBatch:size:)``.
  package func compileInference(
    _ graph: Graph, operations: [FusedOperation], from source: NodeID, parameters: Parameters,
    microBatch: Int, size: Extent2D
  ) throws -> any InferencePlan {
    let nodes = operations.flatMap { operation in operation.nodes.map { graph.nodes[$0] } }
    return try ReferenceInferencePlan<Scalar> { shared in
      try ReferenceProgram(
        graph, nodes: nodes, from: source, parameters: parameters, sharing: shared, freezing: nil,
        operations: operations, batch: microBatch, size: size)
    }
  }

  /// See ``Engine/compileTraining(_:nodes:from:parameters:freezing:batch:size:)``.
  package func compileTraining(
    _ graph: Graph, nodes: [Node], from source: NodeID, parameters: Parameters,
    freezing plan: FreezePlan, batch: Int, size: Extent2D
  ) throws -> any TrainingPlan {
    try trainingPlan(
      graph, nodes: nodes, from: source, parameters: parameters, freezing: plan, batch: batch,
      size: size)
  }

  /// The same with its own type, for the entry points in `Scalar`.
  package func trainingPlan(
    _ graph: Graph, nodes: [Node], from source: NodeID, parameters: Parameters,
    freezing plan: FreezePlan, batch: Int, size: Extent2D
  ) throws -> ReferenceTrainingPlan<Scalar> {
    try ReferenceTrainingPlan { shared in
      try ReferenceProgram<Scalar>(
        graph, nodes: nodes, from: source, parameters: parameters, sharing: shared, freezing: plan,
        batch: batch, size: size)
    }
  }
}
