// SPDX-License-Identifier: Apache-2.0

import Testing
import ThawExecution
import ThawNetwork
import ThawReference
import ThawTensors
import ThawTestSupport

@Suite struct ReferenceTrainingTests {
  private let first = StepIdentity(seed: 1, step: 0)

  private func convolutionAndNorm(_ modeChannels: Int = 3) -> Graph {
    var builder = GraphBuilder(name: "norm", inputChannels: modeChannels)
    builder.add(
      "bn",
      .batchNormalization(
        BatchNormalization(channels: modeChannels, epsilon: 1e-3, momentum: 0.3)))
    builder.beginGroup("head")
    builder.add("flatten", .flatten)
    return builder.build()
  }

  @Test func aFrozenParameterHasNoGradientAtAll() throws {
    let graph = ParityNetworks.residual
    let plan: ReferenceTrainingPlan<Float> = try trainingPlan(
      graph, freezing: .freezing(to: 2, of: graph, trainableBatchNorm: .training), batch: 3,
      size: Extent2D(height: 15, width: 17))
    let input = Tensor<Float>.procedural("image", shape: [3, 3, 15, 17]).elements
    _ = try plan.forward(scalars: input, step: first)
    plan.backward(scalars: [Float](repeating: 1, count: 15))
    for node in graph.nodes {
      for parameter in node.parameters {
        let gradient = plan.gradient(of: parameter.path)
        if node.group >= 2 && parameter.role.isTrainable {
          let largest = try #require(gradient).elements.map(abs).max() ?? 0
          #expect(largest > 0, "\(parameter.path)")
        } else {
          #expect(gradient == nil, "\(parameter.path)")
        }
      }
    }
    #expect(plan.trainable.allSatisfy { !$0.path.description.hasPrefix("stem") })
  }

  @Test(arguments: BatchNormMode.allCases)
  func runningStatisticsMoveAsTheModeSays(_ mode: BatchNormMode) throws {
    let graph = convolutionAndNorm()
    let plan: ReferenceTrainingPlan<Double> = try trainingPlan(
      graph, freezing: everything(in: graph, mode), batch: 4, size: Extent2D(2))
    let before = plan.exportParameters()
    var mean = try before.tensor("bn.running_mean").elements.map(Double.init)
    var variance = try before.tensor("bn.running_var").elements.map(Double.init)
    for step in 0..<3 {
      // Batches of 4, 3 and 2: n changes, and with it n / (n - 1).
      let input = Tensor<Float>.procedural(
        ParameterPath("input.\(step)"), shape: [4 - step, 3, 2, 2], spread: 2)
      _ = try plan.forward(
        scalars: input.elements.map(Double.init), step: StepIdentity(seed: 0, step: step))
      guard mode.movesRunningStatistics else { continue }
      for channel in 0..<3 {
        let values = (0..<(4 - step)).flatMap { n in
          (0..<4).map { Double(input[(n * 3 + channel) * 4 + $0]) }
        }
        let batchMean = values.reduce(0, +) / Double(values.count)
        let squares = values.reduce(0) { $0 + ($1 - batchMean) * ($1 - batchMean) }
        mean[channel] = 0.7 * mean[channel] + 0.3 * batchMean
        variance[channel] = 0.7 * variance[channel] + 0.3 * squares / Double(values.count - 1)
      }
    }
    let after = plan.exportParameters()
    expectClose(
      try after.tensor("bn.running_mean").elements.map(Double.init), mean, relative: 1e-6)
    expectClose(
      try after.tensor("bn.running_var").elements.map(Double.init), variance, relative: 1e-6)
    if !mode.movesRunningStatistics { #expect(after == before) }
  }

  @Test func oneValuePerChannelIsRefusedBeforeAnythingMoves() throws {
    let graph = ParityNetworks.residual
    for mode in BatchNormMode.allCases {
      let plan: ReferenceTrainingPlan<Float> = try trainingPlan(
        graph, freezing: everything(in: graph, mode), batch: 2,
        size: Extent2D(height: 15, width: 17))
      let before = plan.exportParameters()
      let one = Tensor<Float>.procedural("image", shape: [1, 3, 15, 17]).elements
      if mode == .inference {
        #expect(try plan.forward(scalars: one, step: first).count == 5)
      } else {
        // The batch norm on [N, C]; those on images have more than one value.
        #expect(throws: NetworkError.degenerateBatch(layer: "bn")) {
          try plan.forward(scalars: one, step: first)
        }
      }
      #expect(plan.exportParameters() == before)
    }
  }

  @Test func gradientsAccumulateUntilTheyAreCleared() throws {
    let graph = ParityNetworks.residual
    let plan: ReferenceTrainingPlan<Double> = try trainingPlan(
      graph, freezing: everything(in: graph), batch: 4, size: Extent2D(height: 15, width: 17))
    let input = Tensor<Float>.procedural("image", shape: [4, 3, 15, 17]).elements.map(Double.init)
    let outer = [Double](repeating: 0.5, count: 20)
    func pass(_ samples: Range<Int>) throws {
      let size = input.count / 4
      let part = Array(input[(samples.lowerBound * size)..<(samples.upperBound * size)])
      _ = try plan.forward(scalars: part, step: first)
      plan.backward(scalars: Array(outer[..<(samples.count * 5)]))
    }
    func gradients() -> [[Float]] {
      plan.trainable.compactMap { plan.gradient(of: $0.path)?.elements }
    }
    try pass(0..<4)
    let whole = gradients()
    plan.clearGradients()
    #expect(gradients().allSatisfy { $0.allSatisfy { $0 == 0 } })
    // In two parts, of different sizes: without batch statistics the sum is the same.
    try pass(0..<1)
    try pass(1..<4)
    for (part, all) in zip(gradients(), whole) { expectClose(part, all, absolute: 1e-5) }
  }

  @Test func evaluationIsInferenceAndMovesNothing() throws {
    let graph = ParityNetworks.residual
    let size = Extent2D(height: 15, width: 17)
    let plan: ReferenceTrainingPlan<Double> = try trainingPlan(
      graph, freezing: everything(in: graph, .training), batch: 2, size: size)
    let images = Tensor<Float>.procedural("images", shape: [5, 3, 15, 17])
    let before = plan.exportParameters()
    let output = try Tensor<Float>(shape: [5, 5]) { output in
      try images.withUnsafeElements { try plan.evaluate($0, into: output) }
    }
    let expected: [Double] = try infer(graph, images)
    expectClose(output.elements.map(Double.init), expected, relative: 1e-6)
    #expect(plan.exportParameters() == before)
  }

  @Test func parametersGoInAndOut() throws {
    let graph = ParityNetworks.inception
    let plan: ReferenceTrainingPlan<Float> = try trainingPlan(
      graph, freezing: everything(in: graph), batch: 2, size: Extent2D(12))
    #expect(plan.exportParameters() == .procedural(for: graph))
    var other = plan.exportParameters()
    other["fc.weight"] = Tensor(zeros: [4, 22])
    try plan.importParameters(other)
    #expect(plan.exportParameters() == other)
    var broken = Parameters.procedural(for: graph)
    broken["fc.weight"] = Tensor(zeros: [22, 4])
    #expect(throws: NetworkError.parameterShape("fc.weight", expected: [4, 22], found: [22, 4])) {
      try plan.importParameters(broken)
    }
    #expect(plan.exportParameters() == other, "a refused import must change nothing")
    broken["fc.weight"] = nil
    #expect(throws: NetworkError.missingParameters(["fc.weight"])) {
      try plan.importParameters(broken)
    }
  }

  @Test func anOptimizerChangesDoubleParametersThroughFloat() throws {
    let graph = ParityNetworks.inception
    let plan: ReferenceTrainingPlan<Double> = try trainingPlan(
      graph, freezing: everything(in: graph), batch: 2, size: Extent2D(12))
    plan.withTrainableScalars { description, values, _ in
      if description.path == "fc.weight" { values[0] = 1 / 3 }
    }
    plan.withTrainable { description, values, _ in
      if description.path == "fc.weight" { values[1] = 42 }
    }
    plan.withTrainableScalars { description, values, _ in
      // Element 0 was left alone and kept what Float cannot hold.
      if description.path == "fc.weight" { #expect(values[0] == 1 / 3 && values[1] == 42) }
    }
    #expect(plan.exportParameters()["fc.weight"]?[1] == 42)
  }

  @Test func lateNodesTrainOnTheResultOfTheCut() throws {
    let graph = ParityNetworks.residual
    let size = Extent2D(height: 15, width: 17)
    let freezing = FreezePlan.freezing(to: -1, of: graph)
    let engine = ReferenceEngine<Float>()
    let parameters = Parameters.procedural(for: graph)
    let plan = try Compiler(inference: engine, training: engine).compile(
      graph, parameters: parameters, freezing: freezing, microBatch: 2, batch: 3, size: size)
    let (prefix, suffix) = (try #require(plan.prefix), try #require(plan.suffix))
    #expect(prefix.outputShape == [2, 12] && suffix.inputShape == [3, 12])
    #expect(suffix.outputShape == [3, 5])
    let images = Tensor<Float>.procedural("images", shape: [3, 3, 15, 17])
    let features = try prefix.run(images)
    let logits = try Tensor<Float>(shape: [3, 5]) { output in
      try features.withUnsafeElements { try suffix.forward($0, step: first, into: output) }
    }
    let expected: [Float] = try infer(graph, images)
    expectClose(logits.elements, expected)
  }

  @Test func theFrozenPrefixComputesTheSameBitsInTrainingAndInference() throws {
    let graph = ParityNetworks.residual
    let size = Extent2D(height: 15, width: 17)
    let engine = ReferenceEngine<Float>()
    let compiler = Compiler(inference: engine, training: engine)
    let parameters = Parameters.procedural(for: graph)
    let images = Tensor<Float>.procedural("images", shape: [3, 3, 15, 17])
    for first in 1..<graph.groups.count {
      let plan = try compiler.compile(
        graph, parameters: parameters,
        freezing: .freezing(to: first, of: graph, trainableBatchNorm: .training), microBatch: 2,
        batch: 3, size: size)
      let inference = try compiler.compileInference(
        graph, parameters: parameters, to: plan.partition.cut, microBatch: 3, size: size)
      #expect(try #require(plan.prefix).run(images) == inference.run(images))
    }
  }

  @Test func aPartOfTheNetworkIsCompiledBetweenTwoSteps() async throws {
    let graph = ParityNetworks.residual
    let engine = ReferenceEngine<Float>()
    let part = try Compiler(inference: engine, training: engine).compileInference(
      graph, parameters: .procedural(for: graph), from: graph.fusedOperations[0].result,
      to: graph.fusedOperations[2].result, microBatch: 2, size: Extent2D(height: 15, width: 17))
    #expect(part.inputShape == [2, 8, 8, 9] && part.outputShape == [2, 8, 8, 9])
    await #expect(processExitsWith: .failure) {
      let graph = ParityNetworks.residual
      let engine = ReferenceEngine<Float>()
      _ = try Compiler(inference: engine, training: engine).compileInference(
        graph, parameters: .procedural(for: graph), from: graph.nodes[1].id, microBatch: 1,
        size: Extent2D(15))
    }
  }
}
