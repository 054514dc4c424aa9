// SPDX-License-Identifier: Apache-2.0

package import ThawNetwork

/// A compiled network: the frozen prefix as for inference, and the suffix that trains.
package struct Plan {
  /// Where the network was cut.
  package let partition: Partition
  /// Input to cut; nil when the first layer already trains.
  package let prefix: (any InferencePlan)?
  /// Cut to logits; nil when nothing trains.
  package let suffix: (any TrainingPlan)?
}

/// Compiles networks: Graph + parameters + FreezePlan + input shape -> ``Plan``.
package struct Compiler: Sendable {
  /// Runs the frozen prefix, and whole networks in inference.
  package let inferenceEngine: any Engine
  /// Runs the suffix that trains.
  package let trainingEngine: any Engine

  /// A compiler on the given engines.
  package init(inference: any Engine, training: any Engine) {
    inferenceEngine = inference
    trainingEngine = training
  }

  /// Compiles `graph` for training under `plan`.
  ///
  /// - Parameters:
  ///   - microBatch: images per pass through the prefix.
  ///   - batch: the largest batch of a training step.
  ///   - size: of the input image, in pixels.
  /// - Throws: ``NetworkError`` when parameters or shapes do not fit, ``ExecutionError``.
  package func compile(
    _ graph: Graph, parameters: Parameters, freezing plan: FreezePlan, microBatch: Int, batch: Int,
    size: Extent2D
  ) throws -> Plan {
    try parameters.validate(for: graph)
    let partition = Partition(graph, freezing: plan)
    let input = graph.nodes[0].id
    let prefix: (any InferencePlan)? =
      partition.prefix.isEmpty
      ? nil
      : try inferenceEngine.compileInference(
        graph, operations: partition.prefix, from: input, parameters: parameters,
        microBatch: microBatch, size: size)
    let suffix: (any TrainingPlan)? =
      partition.suffix.isEmpty
      ? nil
      : try compileSuffix(
        graph, partition: partition, parameters: parameters, freezing: plan, batch: batch,
        size: size)
    return Plan(partition: partition, prefix: prefix, suffix: suffix)
  }

  /// Compiles only the suffix, for training on the cached results of the prefix.
  ///
  /// - Parameter batch: the largest batch of a training step.
  package func compileSuffix(
    _ graph: Graph, partition: Partition, parameters: Parameters, freezing plan: FreezePlan,
    batch: Int, size: Extent2D
  ) throws -> any TrainingPlan {
    guard graph.precision != .int8 else { throw ExecutionError.trainingOnBytes }
    return try trainingEngine.compileTraining(
      graph, nodes: partition.suffix, from: partition.cut, parameters: parameters,
      freezing: plan, batch: batch, size: size)
  }

  /// Compiles the part of `graph` after `source` up to `end` for inference (the whole network by
  /// default). Traps when one of the two lies inside a fused operation.
  package func compileInference(
    _ graph: Graph, parameters: Parameters, from source: NodeID? = nil, to end: NodeID? = nil,
    microBatch: Int, size: Extent2D
  ) throws -> any InferencePlan {
    let first = (source ?? graph.nodes[0].id).index
    let last = (end ?? graph.output.id).index
    let operations = graph.fusedOperations.filter {
      $0.nodes.lowerBound > first && $0.nodes.upperBound <= last
    }
    precondition(
      operations.reduce(0) { $0 + $1.nodes.count } == last - first,
      "'\(graph.nodes[first].path)' or '\(graph.nodes[last].path)' lies inside a fused operation.")
    return try inferenceEngine.compileInference(
      graph, operations: operations, from: graph.nodes[first].id, parameters: parameters,
      microBatch: microBatch, size: size)
  }
}
