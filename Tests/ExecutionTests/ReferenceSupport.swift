// SPDX-License-Identifier: Apache-2.0

import Glibc
import ThawExecution
import ThawNetwork
import ThawReference
import ThawTensors

/// A network of one layer behind its input (or inputs, cut from the channels by 1x1 convolutions).
func singleLayer(_ operation: ThawNetwork.Operation, channels: Int) -> Graph {
  var builder = GraphBuilder(name: "single", inputChannels: channels)
  builder.add("layer", operation)
  return builder.build()
}

/// Inference of a whole graph on the reference engine, in `Scalar`.
func infer<Scalar: BLASScalar>(
  _ graph: Graph, _ input: Tensor<Float>, in type: Scalar.Type = Scalar.self, microBatch: Int = 4
) throws -> [Scalar] {
  let plan = try ReferenceEngine<Scalar>().compileInference(
    graph, operations: graph.fusedOperations, from: graph.nodes[0].id,
    parameters: .procedural(for: graph),
    microBatch: microBatch, size: Extent2D(height: input.shape[2], width: input.shape[3]))
  guard let reference = plan as? ReferenceInferencePlan<Scalar> else { return [] }
  return try reference.run(scalars: input.elements.map { Scalar($0) })
}

/// A training plan of a whole graph on the reference engine.
func trainingPlan<Scalar: BLASScalar>(
  _ graph: Graph, freezing plan: FreezePlan, batch: Int, size: Extent2D,
  in type: Scalar.Type = Scalar.self
) throws -> ReferenceTrainingPlan<Scalar> {
  try ReferenceEngine<Scalar>().trainingPlan(
    graph, nodes: Array(graph.nodes.dropFirst()), from: graph.nodes[0].id,
    parameters: .procedural(for: graph), freezing: plan, batch: batch, size: size)
}

/// All groups train, batch norms in `mode`.
func everything(in graph: Graph, _ mode: BatchNormMode = .inference) -> FreezePlan {
  FreezePlan(
    trainable: graph.groups.indices, frozenBatchNorm: mode, trainableBatchNorm: mode)
}

/// The weighted sum of the logits with procedural weights: a loss whose gradient is known exactly.
func weightedSum(_ logits: [Double]) -> (value: Double, gradient: [Double]) {
  let weights = Tensor<Float>.procedural("loss", shape: [logits.count]).elements.map(Double.init)
  return (zip(logits, weights).reduce(0) { $0 + $1.0 * $1.1 }, weights)
}

/// Softmax cross-entropy, mean over the rows, and its gradient.
func crossEntropy(_ logits: [Double], labels: [Int]) -> (value: Double, gradient: [Double]) {
  let classes = logits.count / labels.count
  var value = 0.0
  var gradient = logits
  for (row, label) in labels.enumerated() {
    let own = logits[(row * classes)..<((row + 1) * classes)]
    let largest = own.max() ?? 0
    let exponentials = own.map { exp($0 - largest) }
    let sum = exponentials.reduce(0, +)
    value -= log(exponentials[label] / sum) / Double(labels.count)
    for column in 0..<classes {
      let probability = exponentials[column] / sum - (column == label ? 1 : 0)
      gradient[row * classes + column] = probability / Double(labels.count)
    }
  }
  return (value, gradient)
}
