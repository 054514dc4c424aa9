// SPDX-License-Identifier: Apache-2.0

import ThawExecution
import ThawNetwork
import ThawOneDNN
import ThawReference
import ThawTensors

/// A small network with batch norms of images and of features, and with everything that a plan keeps by image from
/// forward to backward: a maximum pooling, a residual addition, dropout and stochastic depth.
struct NormalizedNetwork {
  /// Whose kernels compute.
  enum Kernels: String, CaseIterable, Sendable {
    case oneDNN, reference
  }

  static let size = 9
  static let classes = 3

  let graph: Graph
  private let freezing: FreezePlan

  /// - Parameters:
  ///   - drops: whether there are dropout and stochastic depth.
  ///   - isSmooth: whether there are no kinks, for central differences.
  init(_ mode: BatchNormMode, drops: Bool = true, isSmooth: Bool = false) {
    var builder = GraphBuilder(name: "normalized", inputChannels: 2)
    func convolve(_ name: String, _ inputs: Int, _ outputs: Int, groups: Int = 1) {
      builder.add(
        "\(name).conv",
        .convolution(
          Convolution2D(
            inputs: inputs, outputs: outputs, window: Window2D(kernel: 3, padding: .same),
            groups: groups)))
      builder.add("\(name).bn", .batchNormalization(BatchNormalization(channels: outputs)))
      builder.add("\(name).act", .activation(isSmooth ? .silu : .relu))
    }
    convolve("a", 2, 8)
    if !isSmooth { builder.add("max", .pooling(.maximum, Window2D(kernel: 2, stride: 2))) }
    let before = builder.last
    convolve("b", 8, 8, groups: 8)
    if drops { builder.add("depth", .stochasticDepth(probability: 0.3)) }
    let branch = builder.last
    builder.add("add", .add, [before, branch])
    convolve("c", 8, 12)
    builder.add("pool", .globalAveragePooling)
    builder.add("flatten", .flatten)
    builder.add("norm", .batchNormalization(BatchNormalization(channels: 12)))
    if drops { builder.add("dropout", .dropout(probability: 0.25)) }
    builder.add("fc", .dense(Dense(inputs: 12, outputs: NormalizedNetwork.classes)))
    graph = builder.build()
    freezing = FreezePlan(
      trainable: graph.groups.indices, frozenBatchNorm: mode, trainableBatchNorm: mode)
  }

  func plan(_ kernels: Kernels, batch: Int, threads: Int = 2) throws -> any ShardedTrainingPlan {
    switch kernels {
    case .reference: return try reference(Float.self, batch: batch)
    case .oneDNN:
      var engine = OneDNNEngine(training: ReferenceEngine<Float>())
      engine.threads = threads
      return try engine.trainingPlan(
        graph, nodes: Array(graph.nodes.dropFirst()), from: graph.nodes[0].id,
        parameters: .procedural(for: graph), freezing: freezing, batch: batch,
        size: Extent2D(NormalizedNetwork.size))
    }
  }

  func reference<Scalar: BLASScalar>(
    _ type: Scalar.Type, batch: Int
  ) throws -> ReferenceTrainingPlan<Scalar> {
    try ReferenceEngine<Scalar>().trainingPlan(
      graph, nodes: Array(graph.nodes.dropFirst()), from: graph.nodes[0].id,
      parameters: .procedural(for: graph), freezing: freezing, batch: batch,
      size: Extent2D(NormalizedNetwork.size))
  }

  /// Images [count, 2, size, size].
  static func images(_ count: Int) -> Tensor<Float> {
    .procedural("images", shape: [count, 2, size, size])
  }
}
