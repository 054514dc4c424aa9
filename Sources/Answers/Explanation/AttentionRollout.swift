// SPDX-License-Identifier: Apache-2.0

import ThawConsole
import ThawExecution
package import ThawInference
import ThawNetwork
import ThawReference
import ThawTensors

/// How much of each patch of a photo reaches what a transformer's head reads, by its attention alone.
///
/// A[l] are the weights of attention l, averaged over its heads, and half of what leaves a block is what came into
/// it, the residual: R = (A[L] + I) / 2 ... (A[1] + I) / 2, whose rows add up to 1. The map is R's row of the class
/// token, or the mean of the rows of all tokens that the head reads, at the patches; a pooling by attention
/// weighs them.
///
/// It says where the network looked, not what it made of it: the map is the same for every class.
///
/// - Source: Abnar and Zuidema 2020, arXiv:2005.00928.
package final class AttentionRollout {
  /// Patches from top to bottom, and from left to right.
  package let height: Int
  package let width: Int
  /// Tokens in front of the patches, and all of them.
  private let prefix: Int
  private let tokens: Int
  /// How much of each token the head reads; adds up to 1.
  private let reading: [Double]
  private let plan: ReferenceTrainingPlan<Float>
  private let outputs: Int
  private let activation: OutputActivation

  /// - Throws: ``PipelineError/usage(_:)`` for a network without attention between the patches of one grid; errors
  ///   of the compiler.
  package init(_ model: StoredModel, source: String) throws {
    let graph = model.graph
    let size = Extent2D(model.preprocessing.inputSize)
    let shapes = try graph.shapes(batch: 1, size: size)
    let attentions = graph.nodes.filter {
      if case .attention = $0.operation { true } else { false }
    }
    guard let last = attentions.last, let grid = graph.patches(of: last, shapes),
      Set(attentions.map { shapes[$0.id.index] }).count == 1
    else {
      throw PipelineError.usage(
        "\(source): the network \(graph.name) has no attention between the patches of one grid, so there is no"
          + " rollout. Leave --method out, which takes what suits the network, or use --method occlusion."
      )
    }
    guard graph.precision != .int8 else {
      throw PipelineError.usage(
        "\(source): the attention of a network in eight bits cannot be looked at. Use --method occlusion, or the"
          + " model it was made of.")
    }
    (height, width) = (grid.height, grid.width)
    tokens = shapes[last.id.index][3]
    prefix = tokens - grid.count
    reading = graph.reading(behind: last.id, tokens: tokens)
    activation = model.record.outputActivation
    outputs = activation.outputs(classes: model.record.classNames.count)
    plan = try ReferenceEngine<Float>().trainingPlan(
      graph, nodes: Array(graph.nodes.dropFirst()), from: graph.nodes[0].id,
      parameters: model.parameters, freezing: FreezePlan(trainable: []), batch: 1, size: size)
  }

  /// The map of one prepared photo, and its logits.
  ///
  /// - Parameter pixels: [3, H, W], as the contract prepares them.
  /// - Throws: `ExecutionError`.
  package func map(_ pixels: UnsafeBufferPointer<Float>) throws -> ClassEvidence.Map {
    let output = AlignedStorage<Float>(count: outputs)
    try plan.evaluate(pixels, into: output.elements)
    // From the head back to the patches: a row at a time, as only those that the head reads matter.
    var row = weighed(reading)
    for weights in plan.attentionWeights.reversed() {
      var next = row.map { $0 / 2 }
      for from in 0..<tokens where row[from] != 0 {
        for to in 0..<tokens { next[to] += row[from] / 2 * Double(weights[from * tokens + to]) }
      }
      row = next
    }
    let raw = Array(output.elements)
    return ClassEvidence.Map(
      values: row[prefix...].map { Float($0) },
      logits: activation == .singleSigmoid ? [0, raw[0]] : raw)
  }

  /// What is read as a pooling by attention weighs it, where there is one.
  private func weighed(_ reading: [Double]) -> [Double] {
    guard let weights = plan.poolingWeights else { return reading }
    var rest = weights[...]
    return reading.map { $0 > 0 ? rest.popFirst().map(Double.init) ?? 0 : 0 }
  }
}

extension Graph {
  /// How much of each token is read behind the last attention: all that a selection holds alike, several
  /// selections alike.
  fileprivate func reading(behind last: NodeID, tokens: Int) -> [Double] {
    let selected = nodes[(last.index + 1)...].compactMap { node -> Range<Int>? in
      guard case .selectTokens(let selection) = node.operation else { return nil }
      return selection.first..<(selection.count.map { selection.first + $0 } ?? tokens)
    }
    let ranges = selected.isEmpty ? [0..<tokens] : selected
    var result = [Double](repeating: 0, count: tokens)
    for range in ranges {
      for token in range { result[token] += 1 / Double(range.count * ranges.count) }
    }
    return result
  }
}
