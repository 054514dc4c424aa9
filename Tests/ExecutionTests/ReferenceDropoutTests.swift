// SPDX-License-Identifier: Apache-2.0

import Testing
import ThawExecution
import ThawNetwork
import ThawReference
import ThawTensors
import ThawTestSupport

@Suite struct ReferenceDropoutTests {
  /// Two dropouts of 0.3 side by side on [N, 500].
  private var graph: Graph {
    var builder = GraphBuilder(name: "dropout", inputChannels: 500)
    let left = builder.add("left", .dropout(probability: 0.3), [builder.input])
    let right = builder.add("right", .dropout(probability: 0.3), [builder.input])
    builder.add("join", .concatenate, [left, right])
    builder.add("flatten", .flatten)
    return builder.build()
  }

  /// The factors of `count` rows: what ones become.
  private func factors(_ count: Int, _ step: StepIdentity, batch: Int = 8) throws -> [Float] {
    let plan: ReferenceTrainingPlan<Float> = try trainingPlan(
      graph, freezing: .inference, batch: batch, size: Extent2D(1))
    return try plan.forward(scalars: [Float](repeating: 1, count: count * 500), step: step)
  }

  @Test func keptElementsAreScaledAndTheShareIsRight() throws {
    let factors = try factors(8, StepIdentity(seed: 3, step: 5))
    let dropped = factors.count { $0 == 0 }
    #expect(factors.allSatisfy { $0 == 0 || $0 == Float(1 / 0.7) })
    // 8000 elements: one standard deviation is 41.
    #expect(abs(dropped - 2400) < 200)
  }

  @Test func masksAreKeyedBySeedStepAndLayerOnly() throws {
    let step = StepIdentity(seed: 3, step: 5)
    let base = try factors(4, step)
    #expect(try factors(4, step) == base)
    #expect(try factors(4, step, batch: 4) == base)
    #expect(
      try Array(factors(8, step)[..<4000]) == base, "a larger batch starts with the same mask")
    #expect(try factors(4, StepIdentity(seed: 4, step: 5)) != base)
    #expect(try factors(4, StepIdentity(seed: 3, step: 6)) != base)
    let rows = (0..<4).map { Array(base[($0 * 1000)..<($0 * 1000 + 1000)]) }
    #expect(Set(rows.map { Array($0[..<500]) } + rows.map { Array($0[500...]) }).count == 8)
  }

  @Test func evaluationDropsNothing() throws {
    let plan: ReferenceTrainingPlan<Float> = try trainingPlan(
      graph, freezing: .inference, batch: 2, size: Extent2D(1))
    let ones = Tensor<Float>([Float](repeating: 1, count: 1000), shape: [2, 500])
    let output = try Tensor<Float>(shape: [2, 1000]) { output in
      try ones.withUnsafeElements { try plan.evaluate($0, into: output) }
    }
    #expect(output.elements.allSatisfy { $0 == 1 })
  }

  @Test func droppingEverythingGivesZeros() throws {
    var builder = GraphBuilder(name: "all", inputChannels: 6)
    builder.add("drop", .dropout(probability: 1))
    let plan: ReferenceTrainingPlan<Float> = try trainingPlan(
      builder.build(), freezing: .inference, batch: 1, size: Extent2D(1))
    let output = try plan.forward(
      scalars: [1, 2, 3, 4, 5, 6], step: StepIdentity(seed: 0, step: 0))
    #expect(output == [0, 0, 0, 0, 0, 0])
  }
}
