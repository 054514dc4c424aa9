// SPDX-License-Identifier: Apache-2.0

import Synchronization
import Testing
import ThawExecution
import ThawNetwork
import ThawOneDNN
import ThawTensors
import ThawTestSupport

/// OpenMP may grant fewer threads than a plan asks for: within a parallel region of the host it grants
/// one. Results must not show it.
@Suite(.serialized) struct GrantedThreadsTests {
  /// What `body` gives on member `member` of a host's parallel region, where every team is one thread.
  private func inHostRegion<Result: Sendable>(
    member: Int = 0, _ body: @Sendable () throws -> Result
  ) throws -> Result {
    let result = Mutex<Swift.Result<Result, any Error>?>(nil)
    ComputeThreads.inHostRegion(of: 2) { number in
      guard number == member else { return }
      let own = Swift.Result { try body() }
      result.withLock { $0 = own }
    }
    return try #require(result.withLock { $0 }, "The machine grants no second thread.").get()
  }

  /// The bits of all losses, gradients, weights and evaluations of three steps.
  private static func trainingBits(_ mode: BatchNormMode, threads: Int) throws -> [UInt32] {
    let graph = TrainingNetworks.mobile
    let plan = try OneDNNTrainingPlan.compile(
      graph, freezing: everything(in: graph, mode), batch: 5, size: Extent2D(22),
      threads: threads)
    var bits: [UInt32] = []
    for step in 0..<3 {
      let input = Tensor<Float>.procedural(ParameterPath("batch.\(step)"), shape: [5, 3, 22, 22])
      let logits = try plan.forward(input, step: StepIdentity(seed: 1, step: step))
      try logits.withUnsafeBufferPointer { try plan.backward($0) }
      plan.withTrainable { _, values, gradient in
        for element in values.indices { values[element] -= 1e-3 * gradient[element] }
        bits += gradient.map(\.bitPattern) + values.map(\.bitPattern)
      }
      plan.clearGradients()
      bits += logits.map(\.bitPattern) + (try plan.evaluate(input)).map(\.bitPattern)
    }
    return bits
  }

  @Test(arguments: BatchNormMode.allCases, [2, 3])
  func trainingInAHostsRegionGivesTheSameBits(_ mode: BatchNormMode, _ threads: Int) throws {
    let expected = try Self.trainingBits(mode, threads: threads)
    #expect(expected.count > 1000)
    for member in 0..<2 {
      let nested = try inHostRegion(member: member) {
        try Self.trainingBits(mode, threads: threads)
      }
      #expect(nested == expected)
    }
  }

  @Test func everyArchitecturePieceTrainsTheSameInAHostsRegion() throws {
    for graph in [TrainingNetworks.bottlenecks, TrainingNetworks.modern(stochasticDepth: 0.25)] {
      @Sendable func bits() throws -> [UInt32] {
        let plan = try OneDNNTrainingPlan.compile(
          graph, freezing: everything(in: graph, .training), batch: 5, size: Extent2D(24),
          threads: 3)
        let input = Tensor<Float>.procedural(
          "batch", shape: [5, graph.inputChannels, 24, 24])
        let logits = try plan.forward(input, step: StepIdentity(seed: 1, step: 2))
        try logits.withUnsafeBufferPointer { try plan.backward($0) }
        var bits = logits.map(\.bitPattern)
        plan.withTrainable { _, _, gradient in bits += gradient.map(\.bitPattern) }
        return bits
      }
      let expected = try bits()
      #expect(try inHostRegion(bits) == expected, "\(graph.name)")
    }
  }

  /// A network whose dense layers have `widths` features, behind a convolution.
  private static func perceptron(_ widths: [Int]) -> Graph {
    var builder = GraphBuilder(name: "perceptron", inputChannels: 3)
    builder.convolve("stem", 3, 16, kernel: 3, stride: 2, activation: .relu)
    builder.add("pool", .globalAveragePooling)
    builder.add("flatten", .flatten)
    var width = 16
    for (index, outputs) in widths.enumerated() {
      builder.add("fc\(index)", .dense(Dense(inputs: width, outputs: outputs)))
      if index + 1 < widths.count { builder.add("act\(index)", .activation(.relu)) }
      width = outputs
    }
    return builder.build()
  }

  @Test(arguments: [[7], [1280, 7], [67, 10], [2048, 4096, 100]], [1, 5])
  func denseLayersGiveTheSameBitsOnAnyNumberOfThreads(_ widths: [Int], _ microBatch: Int) throws {
    let graph = Self.perceptron(widths)
    let photos = SampleNetworks.noise([7, 3, 16, 16])
    @Sendable func results(_ threads: Int) throws -> Tensor<Float> {
      try OneDNNEngine.plan(
        graph, microBatch: microBatch, size: Extent2D(16), threads: threads
      ).run(photos)
    }
    let expected = try results(1)
    for threads in [2, 3] {
      #expect(try results(threads) == expected, "\(threads) threads")
      #expect(try inHostRegion { try results(threads) } == expected, "nested, \(threads) threads")
    }
  }

  @Test func featuresInAHostsRegionAreTheSame() throws {
    let graph = SampleNetworks.efficientNetLite0()
    let photos = SampleNetworks.noise([5, 3, 64, 64])
    let expected = try OneDNNEngine.plan(graph, size: Extent2D(64), threads: 3).run(photos)
    for member in 0..<2 {
      let nested = try inHostRegion(member: member) {
        try OneDNNEngine.plan(graph, size: Extent2D(64), threads: 3).run(photos)
      }
      #expect(nested == expected)
    }
  }
}
