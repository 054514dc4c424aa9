// SPDX-License-Identifier: Apache-2.0

/// What trains: the layer groups, and the batch-norm mode of the frozen and of the trainable ones.
///
/// A plan is an input of the compiler. It answers, for every node and parameter, whether it trains
/// and whether the node is a *pure function* of the pixels; nothing else in Thaw decides that.
package struct FreezePlan: Hashable, Sendable, Codable {
  /// Indices of the groups whose weights train, ascending.
  package let trainableGroups: [Int]
  /// Mode of batch norms in frozen groups.
  package let frozenBatchNorm: BatchNormMode
  /// Mode of batch norms in trainable groups.
  package let trainableBatchNorm: BatchNormMode

  /// Trains exactly the groups in `trainable`.
  package init(
    trainable: some Sequence<Int>, frozenBatchNorm: BatchNormMode = .inference,
    trainableBatchNorm: BatchNormMode = .inference
  ) {
    trainableGroups = Set(trainable).sorted()
    self.frozenBatchNorm = frozenBatchNorm
    self.trainableBatchNorm = trainableBatchNorm
  }

  /// Nothing trains: the plan of evaluation and prediction.
  package static let inference = FreezePlan(trainable: [])

  /// Freezes the groups before `first` and trains the rest.
  ///
  /// - Parameter first: a group index; negative counts from the end (-1: only the last group).
  /// - Source: fastai's `freeze_to`.
  package static func freezing(
    to first: Int, of graph: Graph, frozenBatchNorm: BatchNormMode = .inference,
    trainableBatchNorm: BatchNormMode = .inference
  ) -> FreezePlan {
    let count = graph.groups.count
    let start = min(max(first < 0 ? count + first : first, 0), count)
    return FreezePlan(
      trainable: start..<count, frozenBatchNorm: frozenBatchNorm,
      trainableBatchNorm: trainableBatchNorm)
  }

  /// Trains the groups called `names`.
  ///
  /// - Throws: ``NetworkError/unknownGroup(_:known:)``.
  package static func training(
    groups names: [String], of graph: Graph, frozenBatchNorm: BatchNormMode = .inference,
    trainableBatchNorm: BatchNormMode = .inference
  ) throws -> FreezePlan {
    let known = graph.groups.map(\.name)
    let indices = try names.map { name in
      guard let index = known.firstIndex(of: name) else {
        throw NetworkError.unknownGroup(name, known: known)
      }
      return index
    }
    return FreezePlan(
      trainable: indices, frozenBatchNorm: frozenBatchNorm, trainableBatchNorm: trainableBatchNorm)
  }

  /// Whether the weights of group `index` train.
  package func trains(group index: Int) -> Bool { trainableGroups.contains(index) }

  /// The batch-norm mode that holds for `node`.
  package func batchNormMode(of node: Node) -> BatchNormMode {
    trains(group: node.group) ? trainableBatchNorm : frozenBatchNorm
  }

  /// Whether a batch norm of `graph` normalises by the statistics of the batch in training.
  package func usesBatchStatistics(in graph: Graph) -> Bool {
    graph.nodes.contains { node in
      guard case .batchNormalization = node.operation else { return false }
      return batchNormMode(of: node).usesBatchStatistics
    }
  }

  /// Whether `parameter` of `node` has a gradient.
  ///
  /// The affine part of a batch norm follows its mode (`training` learns, also in a frozen group:
  /// that is what fastai's default does); everything else follows its group.
  package func trains(_ parameter: ParameterDescription, of node: Node) -> Bool {
    switch (parameter.role, node.operation) {
    case (.runningMean, _), (.runningVariance, _): false
    case (.normScale, .batchNormalization), (.normShift, .batchNormalization):
      batchNormMode(of: node).trainsAffine
    default: trains(group: node.group)
    }
  }

  /// The parameters of `graph` that have gradients, in order of computation.
  package func trainableParameters(of graph: Graph) -> [ParameterDescription] {
    graph.nodes.flatMap { node in node.parameters.filter { trains($0, of: node) } }
  }

  /// Whether in training `node` computes the same function of its input as in inference, whatever
  /// the rest of the batch and the step: nothing in it trains, it uses no batch statistics and
  /// drops nothing.
  package func isPure(_ node: Node) -> Bool {
    switch node.operation {
    case .dropout(let probability), .stochasticDepth(let probability): probability == 0
    case .batchNormalization:
      !batchNormMode(of: node).usesBatchStatistics
        && !node.parameters.contains { trains($0, of: node) }
    default: !node.parameters.contains { trains($0, of: node) }
    }
  }
}
