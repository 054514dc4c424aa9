// SPDX-License-Identifier: Apache-2.0

import Testing
import ThawExecution
import ThawNetwork
import ThawOneDNN
import ThawReference
import ThawTensors

/// Which layer overflowed first, on both engines.
@Suite struct InspectionTests {
  private let size = Extent2D(22)
  private let step = StepIdentity(seed: 5, step: 3)

  private func plans(
    _ graph: Graph, _ parameters: Parameters, _ mode: BatchNormMode
  ) throws -> [any LayerInspectable] {
    let freezing = everything(in: graph, mode)
    return [
      try OneDNNTrainingPlan.compile(
        graph, freezing: freezing, batch: 6, size: size, parameters: parameters),
      try ReferenceEngine<Float>().trainingPlan(
        graph, nodes: Array(graph.nodes.dropFirst()), from: graph.nodes[0].id,
        parameters: parameters, freezing: freezing, batch: 6, size: size),
    ]
  }

  private func images(_ graph: Graph) -> Tensor<Float> {
    .procedural("image", shape: [6, graph.inputChannels, size.height, size.width], spread: 2)
  }

  private func first(
    _ graph: Graph, huge path: ParameterPath?, _ mode: BatchNormMode = .inference
  ) throws -> [ParameterPath?] {
    var parameters = Parameters.procedural(for: graph)
    if let path, let tensor = parameters[path] {
      parameters[path] = Tensor(tensor.elements.map { _ in 3e38 }, shape: tensor.shape)
    }
    let input = images(graph)
    return try plans(graph, parameters, mode).map { plan in
      try input.withUnsafeElements { try plan.firstNonFiniteLayer($0, step: step) }
    }
  }

  @Test(arguments: BatchNormMode.allCases)
  func finiteNetworksHaveNone(_ mode: BatchNormMode) throws {
    for graph in [TrainingNetworks.mobile, TrainingNetworks.bottlenecks] {
      #expect(try first(graph, huge: nil, mode) == [nil, nil])
    }
  }

  /// All of them, so also those whose relu6 or relu turns infinity and NaN into finite numbers, and
  /// the depthwise ones, which have kernels of their own.
  @Test(arguments: [BatchNormMode.inference, .training])
  func theConvolutionThatOverflowsIsNamed(_ mode: BatchNormMode) throws {
    for graph in [TrainingNetworks.mobile, TrainingNetworks.bottlenecks] {
      for node in graph.nodes.dropFirst() {
        guard case .convolution = node.operation else { continue }
        let named = try first(graph, huge: "\(node.path).weight", mode)
        #expect(named == [node.path, node.path], "\(graph.name) \(node.path)")
      }
    }
  }

  @Test func theDenseLayerThatOverflowsIsNamed() throws {
    #expect(try first(TrainingNetworks.mobile, huge: "fc.weight") == ["fc", "fc"])
  }

  @Test func lookingChangesNoResult() throws {
    let graph = TrainingNetworks.mobile
    let input = images(graph)
    for plan in try plans(graph, .procedural(for: graph), .inference) {
      func logits() throws -> [Float] {
        var logits = [Float](repeating: 0, count: 42)
        try logits.withUnsafeMutableBufferPointer { output in
          try input.withUnsafeElements { try plan.forward($0, step: step, into: output) }
        }
        return logits
      }
      let before = try logits()
      _ = try input.withUnsafeElements { try plan.firstNonFiniteLayer($0, step: step) }
      #expect(try logits() == before)
    }
  }
}
