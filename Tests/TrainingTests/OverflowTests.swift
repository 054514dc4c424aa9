// SPDX-License-Identifier: Apache-2.0

import Testing
import ThawExecution
import ThawNetwork
import ThawTensors
import ThawTraining

private let samples = clouds(90, inputs: 6, classes: 3, seed: 1)

/// Knows that its only layer is the first to overflow.
private final class InspectablePlan: DensePlan, LayerInspectable {
  private(set) var inspectedStep: StepIdentity?

  func firstNonFiniteLayer(
    _ input: UnsafeBufferPointer<Float>, step: StepIdentity
  ) throws -> ParameterPath? {
    inspectedStep = step
    var logits = [Float](repeating: 0, count: input.count / 6 * 3)
    try logits.withUnsafeMutableBufferPointer { try forward(input, step: step, into: $0) }
    return logits.allSatisfy { $0.isFinite } ? nil : "fc"
  }
}

/// Gradients that overflow in one parameter from the third backward pass on.
private final class OverflowingPlan: DensePlan {
  override func backward(_ gradient: UnsafeBufferPointer<Float>) throws {
    try super.backward(gradient)
    if backwardCount == 3 { withTrainable { _, _, gradient in gradient[1] = .infinity } }
  }
}

@Suite struct OverflowTests {
  private func divergence(
    _ plan: DensePlan, on source: InMemoryFeatures = samples, rate: Double = 0.1
  ) throws -> (batch: Int?, overflow: Overflow?, text: String)? {
    let trainer = try Trainer(
      TrainerConfiguration(epochs: 3, batchSize: 16, schedule: .constant), plan: plan,
      rates: LearningRates(rate), training: source)
    let error = #expect(throws: TrainingError.self) { try trainer.run() }
    guard case .diverged(_, let batch, _, _, let overflow) = error else { return nil }
    return (batch, overflow, error?.description ?? "")
  }

  @Test func theFirstLayerWithANonFiniteResultIsNamed() throws {
    let plan = InspectablePlan(inputs: 6, classes: 3, batch: 16)
    let start = plan.exportParameters()
    let result = try #require(try divergence(plan, rate: 1e38))
    #expect(result.overflow == .activation("fc"))
    #expect(result.text.contains("the result of layer 'fc' overflowed first"))
    #expect(plan.inspectedStep?.step == result.batch)
    #expect(plan.exportParameters() == start)
  }

  @Test func aBadGradientStopsBeforeItReachesTheWeights() throws {
    let plan = OverflowingPlan(inputs: 6, classes: 3, batch: 16)
    let result = try #require(try divergence(plan))
    // Both are bad; backward came to the bias, the last in order of computation, first.
    #expect(result.overflow == .gradient("fc.bias"))
    #expect(result.batch == 2)
  }

  @Test func aBadWeightIsNamedInOrderOfComputation() {
    let plan = DensePlan(inputs: 6, classes: 3, batch: 16)
    #expect(OverflowProbe.firstParameter(of: plan) == nil)
    plan.withTrainable { _, values, gradient in
      values[values.count - 1] = .nan
      gradient[0] = .infinity
    }
    #expect(OverflowProbe.firstParameter(of: plan) == .weight("fc.weight"))
  }

  @Test func aBadInputIsNamedByItsSample() throws {
    var features = samples.features
    features[41 * 6 + 3] = .infinity
    let source = InMemoryFeatures(features, labels: samples.labels)
    let result = try #require(
      try divergence(DensePlan(inputs: 6, classes: 3, batch: 16), on: source))
    #expect(result.overflow == .input(sample: 41))
    #expect(result.text.contains("sample 41"))
  }
}
