// SPDX-License-Identifier: Apache-2.0

import Foundation
import Testing
import ThawExecution
import ThawNetwork
import ThawTensors
import ThawTestSupport
import ThawTraining

/// A moving average of the weights, judged and kept in their place.
@Suite struct WeightAverageTests {
  private let training = clouds(40, inputs: 6, classes: 3, seed: 1)
  private let validation = clouds(30, inputs: 6, classes: 3, seed: 2)

  private func configuration(_ decay: Double?, epochs: Int = 4) -> TrainerConfiguration {
    TrainerConfiguration(
      epochs: epochs, batchSize: 10, seed: 3, schedule: .constant, weightAveraging: decay)
  }

  private func trainer(
    _ plan: DensePlan, _ decay: Double?, validated: Bool = true
  ) throws -> Trainer {
    try Trainer(
      configuration(decay), plan: plan, rates: LearningRates(0.1), training: training,
      validation: validated ? validation : nil)
  }

  @Test func theAverageFollowsItsRecursion() throws {
    let plan = DensePlan(inputs: 6, classes: 3, batch: 11)
    var steps: [[Float]] = []
    let path = plan.trainable[0].path
    let start = try plan.exportParameters().tensor(path).elements
    _ = try trainer(plan, 0.9, validated: false).run(
      TrainerHooks(onBatch: { _ in
        steps.append(Array(try plan.exportParameters().tensor(path).elements))
      }))
    var expected = start.map(Double.init)
    for (step, weights) in steps.enumerated() {
      let kept = min(0.9, Double(1 + step) / Double(10 + step))
      for index in expected.indices {
        expected[index] = kept * expected[index] + (1 - kept) * Double(weights[index])
      }
    }
    // Without validation the average of the last step is what is kept.
    let kept = try plan.exportParameters().tensor(path).elements
    expectClose(kept.map(Double.init), expected, absolute: 1e-6)
    #expect(Array(kept) != steps.last)
  }

  @Test func judgingTheAverageChangesNoStep() throws {
    let (plain, averaged) = (
      DensePlan(inputs: 6, classes: 3, batch: 11), DensePlan(inputs: 6, classes: 3, batch: 11)
    )
    let first = try trainer(plain, nil).run()
    let second = try trainer(averaged, 0.9).run()
    #expect(first.history.map(\.trainLoss) == second.history.map(\.trainLoss))
    #expect(first.history.map(\.validLoss) != second.history.map(\.validLoss))
  }

  @Test func everyStepResumesToTheSameBits() throws {
    let plan = DensePlan(inputs: 6, classes: 3, batch: 11)
    var states: [TrainerState] = []
    _ = try trainer(plan, 0.8).run(TrainerHooks(onBatch: { states.append(try $0.exportState()) }))
    for state in states {
      let again = DensePlan(inputs: 6, classes: 3, batch: 11)
      let resumed = try trainer(again, 0.8)
      try resumed.importState(
        TrainerState(progress: state.progress, tensors: state.tensors))
      _ = try resumed.run()
      #expect(again.exportParameters() == plan.exportParameters())
    }
    var broken = states[3]
    broken.average = nil
    #expect(throws: TrainingError.incompatibleState("the averaged weights are missing")) {
      try trainer(DensePlan(inputs: 6, classes: 3, batch: 11), 0.8).importState(broken)
    }
  }

  @Test func anImpossibleDecayIsNamed() {
    #expect(configuration(1).problem?.contains("below 1, got 1.0") == true)
    #expect(configuration(0.99).problem == nil)
  }
}
