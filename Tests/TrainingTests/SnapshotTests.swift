// SPDX-License-Identifier: Apache-2.0

import Testing
import ThawNetwork
import ThawTensors
import ThawTestSupport
import ThawTraining

private let samples = clouds(90, inputs: 6, classes: 3, seed: 1)
private let others = clouds(45, inputs: 6, classes: 3, seed: 2)

@Suite struct SnapshotTests {
  private func train(
    _ schedule: Schedule, epochs: Int, hook: @escaping (CycleSnapshot, Trainer) throws -> Void
  ) throws -> DensePlan {
    let plan = DensePlan(inputs: 6, classes: 3, batch: 16)
    _ = try Trainer(
      TrainerConfiguration(epochs: epochs, batchSize: 16, schedule: schedule), plan: plan,
      rates: LearningRates(0.3), training: samples
    ).run(TrainerHooks(onCycle: hook))
    return plan
  }

  @Test func snapshotsAreTakenAfterTheLastBatchOfEachCycle() throws {
    var taken: [(cycle: Int, epoch: Int, step: Int)] = []
    var last: Parameters?
    // Cycles of 1, 2 and 4 epochs of six steps; the eighth epoch begins a cycle that is cut short.
    _ = try train(.sgdr(cycleLength: 1, multiplier: 2, lowStart: false), epochs: 8) {
      taken.append(($0.cycle, $0.epoch, $1.progress.step))
      last = $0.parameters
    }
    #expect(taken.map(\.cycle) == [0, 1, 2])
    #expect(taken.map(\.epoch) == [0, 2, 6])
    #expect(taken.map(\.step) == [6, 18, 42])
    let plan = try train(
      .sgdr(cycleLength: 1, multiplier: 2, lowStart: false), epochs: 7, hook: { _, _ in })
    #expect(last == plan.exportParameters())
  }

  @Test func schedulesWithoutCyclesHaveNoSnapshots() throws {
    _ = try train(.cosineAnnealing, epochs: 2) { _, _ in Issue.record("a snapshot") }
  }

  @Test func anEnsembleAveragesProbabilitiesAndRestoresThePlan() throws {
    var members: [Parameters] = []
    let plan = try train(.sgdr(cycleLength: 1, multiplier: 1, lowStart: false), epochs: 3) {
      snapshot, _ in members.append(snapshot.parameters)
    }
    let before = plan.exportParameters()
    let mean = try SnapshotEnsemble.probabilities(of: others, by: plan, members: members)
    #expect(plan.exportParameters() == before)
    var sums = [Double](repeating: 0, count: 45 * 3)
    for member in members {
      try plan.importParameters(member)
      let probabilities = Probabilities.softmax(try PlanEvaluator.logits(of: others, by: plan))
      for index in sums.indices { sums[index] += Double(probabilities[index]) / 3 }
    }
    expectClose(mean.elements.map(Double.init), sums)
    #expect(Set(members.map { $0["fc.bias"]?.elements ?? [] }).count == 3)
    try plan.importParameters(before)
    #expect(throws: NetworkError.self) {
      try SnapshotEnsemble.probabilities(of: others, by: plan, members: [Parameters()])
    }
    #expect(plan.exportParameters() == before)
  }
}
