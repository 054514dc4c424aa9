// SPDX-License-Identifier: Apache-2.0

import Testing
import ThawExecution
import ThawNetwork
import ThawOneDNN
import ThawReference
import ThawTensors
import ThawTestSupport

/// A network on the engine and on the reference in Double, with the same parameters.
struct TrainingPair {
  let graph: Graph
  let plan: OneDNNTrainingPlan
  let reference: ReferenceTrainingPlan<Double>
  let size: Extent2D

  init(
    _ graph: Graph, freezing: FreezePlan, batch: Int, size: Extent2D, threads: Int = 2,
    parameters: Parameters? = nil
  ) throws {
    self.graph = graph
    self.size = size
    let parameters = parameters ?? .procedural(for: graph)
    plan = try OneDNNTrainingPlan.compile(
      graph, freezing: freezing, batch: batch, size: size, threads: threads,
      parameters: parameters)
    reference = try ReferenceEngine<Double>().trainingPlan(
      graph, nodes: Array(graph.nodes.dropFirst()), from: graph.nodes[0].id,
      parameters: parameters, freezing: freezing, batch: batch, size: size)
  }

  /// `count` images, the same for the same arguments.
  func images(_ count: Int, _ name: String = "image") -> Tensor<Float> {
    .procedural(
      ParameterPath(name), shape: [count, graph.inputChannels, size.height, size.width], spread: 2)
  }

  /// One forward and backward pass of both; the loss is curved, so its gradient depends on the
  /// logits, those of the reference for both.
  func pass(_ input: Tensor<Float>, step: StepIdentity = StepIdentity(seed: 5, step: 3)) throws
    -> (logits: [Float], expected: [Double])
  {
    let expected = try reference.forward(scalars: input.elements.map(Double.init), step: step)
    let weights = Tensor<Float>.procedural("loss", shape: [expected.count]).elements
    let outer = zip(expected, weights).map { Float((1 + $0 / 2) * Double($1)) }
    reference.backward(scalars: outer.map(Double.init))
    let logits = try plan.forward(input, step: step)
    try outer.withUnsafeBufferPointer { try plan.backward($0) }
    return (logits, expected)
  }

  /// The largest norm-wise relative error of a gradient tensor, and whose it is.
  ///
  /// A bias in front of batch statistics has no gradient but rounding: where the reference, in
  /// Double, says so, a tenth of the largest norm takes the place of its own.
  func worstGradient() -> (path: ParameterPath, error: Double) {
    var norms: [(path: ParameterPath, difference: Double, norm: Double)] = []
    reference.withTrainableScalars { description, _, gradient in
      let own = plan.gradient(of: description.path)?.elements ?? []
      let square = zip(own, gradient).reduce(0) {
        $0 + (Double($1.0) - $1.1) * (Double($1.0) - $1.1)
      }
      norms.append(
        (
          description.path, own.count == gradient.count ? square.squareRoot() : .infinity,
          gradient.reduce(0) { $0 + $1 * $1 }.squareRoot()
        ))
    }
    let largest = norms.map(\.norm).max() ?? 0
    var worst: (path: ParameterPath, error: Double) = ("", 0)
    for (path, difference, norm) in norms {
      let error = difference / (norm > 1e-9 * largest ? norm : 0.1 * largest)
      if !(error <= worst.error) { worst = (path, error) }
    }
    return worst
  }

  /// The largest difference of logits over the largest logit.
  static func error(_ actual: [Float], _ expected: [Double]) -> Double {
    let largest = expected.map(abs).max() ?? 1
    return zip(actual, expected).map { abs(Double($0) - $1) }.max().map { $0 / largest }
      ?? .infinity
  }

  /// One pass of `count` images and its agreement.
  ///
  /// Measured: logits within 1.2e-6, gradients within 5e-6, in `inception` with batch statistics, which
  /// divide by the spread of nearly equal rows, 6e-5. A value that rounding moves across the kink of
  /// a relu would show as 1e-3: should one fall there, other images do not.
  func expectAgreement(
    images count: Int, _ name: String = "image", within tolerance: Double = 1e-4,
    sourceLocation: SourceLocation = #_sourceLocation
  ) throws {
    let (logits, expected) = try pass(images(count, name))
    #expect(logits.count == expected.count, sourceLocation: sourceLocation)
    let error = TrainingPair.error(logits, expected)
    #expect(error < tolerance, "logits of \(graph.name)", sourceLocation: sourceLocation)
    let worst = worstGradient()
    #expect(
      worst.error < tolerance, "gradient of \(worst.path) in \(graph.name) is \(worst.error) off",
      sourceLocation: sourceLocation)
    #expect(
      plan.trainable.map(\.path) == reference.trainable.map(\.path), sourceLocation: sourceLocation)
  }
}

extension OneDNNTrainingPlan {
  /// A whole graph on the engine.
  static func compile(
    _ graph: Graph, freezing: FreezePlan, batch: Int, size: Extent2D, threads: Int? = 2,
    parameters: Parameters? = nil
  ) throws -> OneDNNTrainingPlan {
    var engine = OneDNNEngine(training: NoEngine())
    engine.threads = threads
    return try engine.trainingPlan(
      graph, nodes: Array(graph.nodes.dropFirst()), from: graph.nodes[0].id,
      parameters: parameters ?? .procedural(for: graph), freezing: freezing, batch: batch,
      size: size)
  }

  /// The logits of a training pass.
  func forward(_ input: Tensor<Float>, step: StepIdentity) throws -> [Float] {
    let count = input.shape[0] * outputShape.count / outputShape[0]
    return try [Float](unsafeUninitializedCapacity: count) { output, initialized in
      try input.withUnsafeElements { try forward($0, step: step, into: output) }
      initialized = count
    }
  }

  /// The results of an evaluation.
  func evaluate(_ input: Tensor<Float>) throws -> [Float] {
    let count = input.shape[0] * outputShape.count / outputShape[0]
    return try [Float](unsafeUninitializedCapacity: count) { output, initialized in
      try input.withUnsafeElements { try evaluate($0, into: output) }
      initialized = count
    }
  }
}
