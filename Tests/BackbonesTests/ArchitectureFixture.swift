// SPDX-License-Identifier: Apache-2.0

import Foundation
import ThawBackbones
import ThawExecution
import ThawNetwork
import ThawTensors

/// What `Tools/parity_architectures.py` recorded of the real networks.
struct ArchitectureFixture: Decodable, Sendable {
  /// Height and width of the input, by index of ``logits``.
  let sizes: [[Int]]
  /// See `Parameters.procedural(for:scales:)`.
  let scales: [String: Double]
  /// Two rows for each size.
  let logits: [[Float]]
  /// Of each weight: its gradient's product with a procedural tensor, and its norm; at the first
  /// size, for the sum of the logits weighted procedurally. Empty when it was not recorded.
  let gradients: [String: [Double]]

  /// Images in a batch.
  static let images = 2
  /// Outputs of the networks.
  static let classes = 20

  /// All of them by architecture; empty when the file cannot be read, which a test notices.
  static let all: [String: ArchitectureFixture] = {
    guard
      let file = Bundle.module.resourceURL?.appendingPathComponent("Fixtures/architectures.json"),
      let data = try? Data(contentsOf: file)
    else { return [:] }
    return (try? JSONDecoder().decode([String: ArchitectureFixture].self, from: data)) ?? [:]
  }()

  /// The images of one size.
  static func images(_ size: [Int]) -> Tensor<Float> {
    .procedural("input.\(size[0])x\(size[1])", shape: [images, 3, size[0], size[1]])
  }

  /// The gradient of the loss with respect to the logits.
  static var lossGradient: Tensor<Float> { .procedural("loss", shape: [images, classes]) }
}

/// A network under test with its procedural weights.
struct ArchitectureUnderTest {
  var graph: Graph
  let parameters: Parameters

  init(_ name: String, _ fixture: ArchitectureFixture) throws {
    graph = try Architecture(named: name).graph(Head(classes: ArchitectureFixture.classes))
    parameters = .procedural(for: graph, scales: fixture.scales)
  }

  /// The logits of `images` on an engine.
  func logits(_ engine: some Engine, _ images: Tensor<Float>) throws -> [Float] {
    let compiler = Compiler(inference: engine, training: engine)
    return try compiler.compileInference(
      graph, parameters: parameters, microBatch: images.shape[0],
      size: Extent2D(height: images.shape[2], width: images.shape[3])
    ).run(images).elements
  }

  /// A training plan with every weight trainable and running statistics, after one pass.
  func trained(_ engine: some Engine, _ images: Tensor<Float>) throws -> any TrainingPlan {
    let plan = try engine.compileTraining(
      graph, nodes: Array(graph.nodes.dropFirst()), from: graph.nodes[0].id,
      parameters: parameters, freezing: FreezePlan(trainable: graph.groups.indices),
      batch: images.shape[0], size: Extent2D(height: images.shape[2], width: images.shape[3]))
    var logits = [Float](repeating: 0, count: plan.outputShape.count)
    try logits.withUnsafeMutableBufferPointer { output in
      try images.withUnsafeElements {
        try plan.forward($0, step: StepIdentity(seed: 0, step: 0), into: output)
      }
    }
    plan.clearGradients()
    try ArchitectureFixture.lossGradient.withUnsafeElements { try plan.backward($0) }
    return plan
  }
}
