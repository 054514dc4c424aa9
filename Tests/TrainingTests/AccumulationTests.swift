// SPDX-License-Identifier: Apache-2.0

import Testing
import ThawNetwork
import ThawTensors
import ThawTestSupport
import ThawTraining

private let samples = clouds(90, inputs: 6, classes: 3, seed: 1)

@Suite struct AccumulationTests {
  private func train(
    _ plan: DensePlan, batch: Int, accumulation: Int, loss: SoftmaxCrossEntropy,
    on source: InMemoryFeatures = samples
  ) throws -> (parameters: Parameters, history: [EpochRecord]) {
    let result = try Trainer(
      TrainerConfiguration(
        epochs: 3, batchSize: batch, schedule: .constant, accumulation: accumulation), plan: plan,
      rates: LearningRates(0.1), training: source, loss: loss
    ).run()
    return (plan.exportParameters(), result.history)
  }

  /// 90 samples: four steps of 20 (4 * 5) and one of 10 (2 * 5), with weighted classes, whose batches
  /// weigh differently.
  @Test func accumulatedStepsAreThoseOfOneBigBatch() throws {
    let loss = SoftmaxCrossEntropy(labelSmoothing: 0.1, classWeights: [5, 1, 0.2])
    let big = DensePlan(inputs: 6, classes: 3, batch: 20)
    let small = DensePlan(inputs: 6, classes: 3, batch: 20)
    let whole = try train(big, batch: 20, accumulation: 1, loss: loss)
    let parts = try train(small, batch: 5, accumulation: 4, loss: loss)
    #expect(big.largestBatch == 20)
    #expect(small.largestBatch == 5)
    #expect(big.backwardCount == 3 * 5)
    #expect(small.backwardCount == 3 * 18)
    expectClose(
      try parts.parameters.tensor("fc.weight"), try whole.parameters.tensor("fc.weight"))
    expectClose(parts.history.map(\.trainLoss), whole.history.map(\.trainLoss))
  }

  @Test func aLoneLastSampleJoinsAnotherPart() throws {
    // 21 samples: one step of 20 and one more sample, merged into it: 4 parts, one of 6.
    let plan = DensePlan(inputs: 6, classes: 3, batch: 6)
    let few = clouds(21, inputs: 6, classes: 3, seed: 1)
    _ = try train(plan, batch: 5, accumulation: 4, loss: SoftmaxCrossEntropy(), on: few)
    #expect(plan.backwardCount == 3 * 4)
    #expect(plan.largestBatch == 6)
    // Where the plan has no room for it there is one part more.
    let tight = DensePlan(inputs: 6, classes: 3, batch: 5)
    _ = try train(tight, batch: 5, accumulation: 4, loss: SoftmaxCrossEntropy(), on: few)
    #expect(tight.backwardCount == 3 * 5)
  }

  /// 90 samples one by one in steps of 40: more parts than a random stream's epoch had room for.
  @Test func everyPartOfAStepHasANameOfItsOwn() throws {
    let plan = DensePlan(inputs: 6, classes: 3, batch: 1)
    _ = try train(plan, batch: 1, accumulation: 40, loss: SoftmaxCrossEntropy())
    #expect(plan.identities.count == 3 * 90)
    #expect(Set(plan.identities).count == 3 * 90)
    #expect(plan.identities.map(\.part).max() == 39)
  }

  @Test func scheduleAndProgressCountSteps() throws {
    let configuration = TrainerConfiguration(epochs: 2, batchSize: 5, accumulation: 4)
    let trainer = try Trainer(
      configuration, plan: DensePlan(inputs: 6, classes: 3, batch: 5), rates: LearningRates(0.1),
      training: samples)
    #expect(configuration.stepSize == 20)
    #expect(trainer.curve.totalSteps == 10)
    _ = try trainer.run()
    #expect(trainer.progress.step == 10)
    var bad = configuration
    bad.accumulation = 0
    #expect(bad.problem?.contains("accumulation") == true)
  }
}
