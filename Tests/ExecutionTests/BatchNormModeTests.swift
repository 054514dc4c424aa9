// SPDX-License-Identifier: Apache-2.0

import Testing
import ThawExecution
import ThawNetwork
import ThawOneDNN
import ThawReference
import ThawTensors
import ThawTestSupport

/// One batch norm on one channel pair in every mode, on both engines, against numbers worked out by
/// hand: what PyTorch's BatchNorm2d and Keras's BatchNormalization do with the same input.
@Suite struct BatchNormModeTests {
  static let engines = ["reference", "oneDNN"]

  private func plan(
    _ engine: String, _ mode: BatchNormMode, correction: VarianceCorrection = .bessel
  ) throws -> any BatchNormInspectable {
    var builder = GraphBuilder(name: "single", inputChannels: 2)
    builder.add(
      "bn",
      .batchNormalization(
        BatchNormalization(
          channels: 2, epsilon: 1e-3, momentum: 0.1, runningVarianceCorrection: correction)))
    let graph = builder.build()
    let parameters = Parameters([
      "bn.weight": Tensor([2, 3], shape: [2]), "bn.bias": Tensor([0.5, -1], shape: [2]),
      "bn.running_mean": Tensor([1, 0], shape: [2]), "bn.running_var": Tensor([4, 1], shape: [2]),
    ])
    let nodes = Array(graph.nodes.dropFirst())
    let freezing = FreezePlan(trainable: [], frozenBatchNorm: mode)
    if engine == "oneDNN" {
      return try #require(
        try OneDNNEngine(training: ReferenceEngine<Float>()).compileTraining(
          graph, nodes: nodes, from: graph.nodes[0].id, parameters: parameters, freezing: freezing,
          batch: 2, size: Extent2D(height: 1, width: 2)) as? any BatchNormInspectable)
    }
    return try ReferenceEngine<Float>().trainingPlan(
      graph, nodes: nodes, from: graph.nodes[0].id, parameters: parameters, freezing: freezing,
      batch: 2, size: Extent2D(height: 1, width: 2))
  }

  /// Two images of two channels, 1x2. Channel 0: 1, 3, 5, 7 (mean 4, biased variance 5); channel 1:
  /// 0, 2, 2, 4 (mean 2, biased variance 2).
  private let input: [Float] = [1, 3, 0, 2, 5, 7, 2, 4]

  private func normalized(mean: [Double], variance: [Double]) -> [Float] {
    input.enumerated().map { index, value in
      let channel = index / 2 % 2
      let scale = [2.0, 3.0][channel] / (variance[channel] + 1e-3).squareRoot()
      return Float((Double(value) - mean[channel]) * scale + [0.5, -1][channel])
    }
  }

  private func forward(_ plan: any TrainingPlan) throws -> [Float] {
    var output = [Float](repeating: 0, count: input.count)
    try input.withUnsafeBufferPointer { source in
      try output.withUnsafeMutableBufferPointer {
        try plan.forward(source, step: StepIdentity(seed: 1, step: 0), into: $0)
      }
    }
    return output
  }

  @Test(arguments: engines, BatchNormMode.allCases)
  func theForwardPassUsesTheStatisticsOfItsMode(engine: String, mode: BatchNormMode) throws {
    let plan = try plan(engine, mode)
    let expected =
      mode == .inference
      ? normalized(mean: [1, 0], variance: [4, 1]) : normalized(mean: [4, 2], variance: [5, 2])
    expectClose(try forward(plan), expected, absolute: 1e-5)
  }

  @Test(arguments: engines, BatchNormMode.allCases)
  func onlyWhatTheModeAllowsMoves(engine: String, mode: BatchNormMode) throws {
    let plan = try plan(engine, mode)
    let before = plan.exportParameters()
    _ = try forward(plan)
    let slope = [Float](repeating: 1, count: input.count)
    if mode == .training { try slope.withUnsafeBufferPointer { try plan.backward($0) } }
    plan.withTrainable { _, values, gradient in
      for index in values.indices { values[index] -= gradient[index] }
    }
    let after = plan.exportParameters()
    func moved(_ name: String) -> Bool {
      before[ParameterPath(name)]?.elements != after[ParameterPath(name)]?.elements
    }
    let statistics = mode == .training || mode == .staleUpdate
    #expect(moved("bn.running_mean") == statistics)
    #expect(moved("bn.running_var") == statistics)
    // d loss / d beta is 4; that of gamma is 0 by construction, so it need not move.
    #expect(moved("bn.bias") == (mode == .training))
    #expect(plan.trainable.map(\.path) == (mode == .training ? ["bn.weight", "bn.bias"] : []))
  }

  @Test(arguments: engines, VarianceCorrection.allCases)
  func runningVariancesTakeTheFamilysEstimate(
    engine: String, correction: VarianceCorrection
  ) throws {
    let plan = try plan(engine, .staleUpdate, correction: correction)
    _ = try forward(plan)
    let after = plan.exportParameters()
    // 0.9 * old + 0.1 * new over 4 values: n / (n - 1) is 4 / 3.
    let factor: Float = [.bessel: 4.0 / 3, .none: 1, .besselTwice: 16.0 / 9][correction] ?? 0
    expectClose(
      after["bn.running_mean"]?.elements ?? [], [0.9 * 1 + 0.1 * 4, 0.1 * 2], absolute: 1e-6)
    expectClose(
      after["bn.running_var"]?.elements ?? [],
      [0.9 * 4 + 0.1 * 5 * factor, 0.9 * 1 + 0.1 * 2 * factor], absolute: 1e-6)
  }

  @Test(arguments: engines)
  func anInspectedPassSwitchesAndRecordsAndMovesNothing(engine: String) throws {
    let plan = try plan(engine, .batchStatistics)
    let before = plan.exportParameters()
    for (selection, expected) in [
      (BatchNormInspection.Selection.none, normalized(mean: [1, 0], variance: [4, 1])),
      (.all, normalized(mean: [4, 2], variance: [5, 2])),
      (.only(["bn"]), normalized(mean: [4, 2], variance: [5, 2])),
      (.only(["other"]), normalized(mean: [1, 0], variance: [4, 1])),
    ] {
      let inspection = BatchNormInspection(batchStatistics: selection)
      var output = [Float](repeating: 0, count: input.count)
      try input.withUnsafeBufferPointer { source in
        try output.withUnsafeMutableBufferPointer { try plan.inspect(source, inspection, into: $0) }
      }
      expectClose(output, expected, absolute: 1e-5)
      let moments = try #require(inspection.moments["bn"])
      #expect(moments.count == 4)
      expectClose(moments.mean.map(Float.init), [4, 2], absolute: 1e-6)
      expectClose(moments.variance.map(Float.init), [5, 2], absolute: 1e-6)
    }
    #expect(plan.exportParameters() == before)
  }

  @Test func momentsOfPartsAreThoseOfTheWhole() {
    var moments = ChannelMoments(count: 2, mean: [1], variance: [1])
    moments.merge(ChannelMoments(count: 4, mean: [4], variance: [2.25]))
    // 0, 2 and 2.5, 2.5, 5.5, 5.5.
    #expect(moments.count == 6)
    #expect(abs(moments.mean[0] - 3) < 1e-12)
    #expect(abs(moments.variance[0] - 23.0 / 6) < 1e-12)
  }
}
