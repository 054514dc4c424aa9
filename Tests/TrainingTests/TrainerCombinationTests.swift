// SPDX-License-Identifier: Apache-2.0

import Testing
import ThawExecution
import ThawNetwork
import ThawTensors
import ThawTestSupport
import ThawTraining

private let training = clouds(30, inputs: 6, classes: 3, seed: 1)
private let validation = clouds(15, inputs: 6, classes: 3, seed: 2)

/// Rules, schedules, accumulation and clipping together, in whole runs.
@Suite struct TrainerCombinationTests {
  static let rules: [OptimizerConfiguration] = [
    OptimizerConfiguration(rule: .sgd(momentum: 0), weightDecay: .decoupled(0.1)),
    OptimizerConfiguration(rule: .sgd(), weightDecay: .l2(0.1), maximumGradientNorm: 0.3),
    OptimizerConfiguration(rule: .sgd(nesterov: true), decaysBiasesAndNorms: true),
    OptimizerConfiguration(rule: .rmsProp(), weightDecay: .l2(0.1)),
    OptimizerConfiguration(rule: .adam(), weightDecay: .l2(0.1), maximumGradientNorm: 0.3),
    .adamW(weightDecay: 0.1),
  ]
  static let schedules: [Schedule] = [
    .constant, .step(every: 2, factor: 0.5), .exponential(factor: 0.8), .inverseTime(decay: 0.5),
    .cosineAnnealing, .sgdr(cycleLength: 1, multiplier: 2, lowStart: true),
    .warmRestarts(period: 2, multiplier: 1, minimum: 0.01), .oneCycleDefault, .flatCosineDefault,
    .warmUp(epochs: 1, start: 0.1, next: .cosineAnnealing),
  ]

  private func trainer(
    _ plan: DensePlan, _ rule: OptimizerConfiguration, _ schedule: Schedule
  ) throws -> Trainer {
    try Trainer(
      TrainerConfiguration(
        epochs: 3, batchSize: 4, seed: 2, optimizer: rule, schedule: schedule, accumulation: 2),
      plan: plan, rates: LearningRates(0.02), training: training, validation: validation)
  }

  private func plan() -> DensePlan { DensePlan(inputs: 6, classes: 3, batch: 5, dropout: 0.2) }

  @Test(arguments: rules, schedules)
  func everyCombinationLearnsAndResumesToTheSameBits(
    _ rule: OptimizerConfiguration, _ schedule: Schedule
  ) throws {
    let whole = plan()
    var states: [TrainerState] = []
    let result = try trainer(whole, rule, schedule).run(
      TrainerHooks(onBatch: { states.append(try $0.exportState()) }))
    let losses = result.history.compactMap(\.validLoss)
    #expect(losses.count == 3 && losses[2] < 1.0986, "\(losses)")
    for state in [states[0], states[5], states[states.count - 2]] {
      let other = plan()
      let resumed = try trainer(other, rule, schedule)
      try resumed.importState(state)
      #expect(try resumed.run().history.compactMap(\.validLoss) == losses)
      #expect(other.exportParameters() == whole.exportParameters())
    }
  }

  /// Each ingredient does something: leaving it out ends elsewhere.
  @Test func noIngredientIsIgnored() throws {
    func end(_ change: (inout TrainerConfiguration) -> Void) throws -> Parameters {
      var configuration = TrainerConfiguration(
        epochs: 2, batchSize: 4, seed: 2,
        optimizer: OptimizerConfiguration(
          rule: .sgd(nesterov: true), weightDecay: .l2(0.1), maximumGradientNorm: 0.3),
        schedule: .cosineAnnealing, accumulation: 2)
      change(&configuration)
      let plan = plan()
      _ = try Trainer(
        configuration, plan: plan, rates: LearningRates(0.02), training: training
      ).run()
      return plan.exportParameters()
    }
    let base = try end { _ in }
    let changes: [(String, (inout TrainerConfiguration) -> Void)] = [
      ("nesterov", { $0.optimizer.rule = .sgd() }),
      ("momentum", { $0.optimizer.rule = .sgd(momentum: 0.5, nesterov: true) }),
      ("decay", { $0.optimizer.weightDecay = .none }),
      ("kind of decay", { $0.optimizer.weightDecay = .decoupled(0.1) }),
      ("decay of biases", { $0.optimizer.decaysBiasesAndNorms = true }),
      ("clipping", { $0.optimizer.maximumGradientNorm = nil }),
      ("accumulation", { $0.accumulation = 1 }), ("schedule", { $0.schedule = .constant }),
      ("seed", { $0.seed = 3 }), ("mixing", { $0.mixing = .mixup() }),
    ]
    for (name, change) in changes { #expect(try end(change) != base, "\(name)") }
  }
}
