// SPDX-License-Identifier: Apache-2.0

import Foundation
import Testing
import ThawExecution
import ThawNetwork
import ThawTensors
import ThawTestSupport
import ThawTraining

private let training = clouds(90, inputs: 6, classes: 3, seed: 1)
private let validation = clouds(45, inputs: 6, classes: 3, seed: 2)

private func makeTrainer(
  _ plan: DensePlan, _ configuration: TrainerConfiguration, rate: Double = 0.1,
  validating: (any FeatureSource)? = validation, on source: InMemoryFeatures = training
) throws -> Trainer {
  try Trainer(
    configuration, plan: plan, rates: LearningRates(rate), training: source, validation: validating)
}

private func makePlan(dropout: Double = 0, batch: Int = 16) -> DensePlan {
  DensePlan(inputs: 6, classes: 3, batch: batch, dropout: dropout)
}

@Suite struct ResumeTests {
  static let optimizers: [OptimizerConfiguration] = [
    OptimizerConfiguration(rule: .sgd(nesterov: true), weightDecay: .l2(1e-3)), .adamW(),
    OptimizerConfiguration(rule: .rmsProp(momentum: 0.9)),
  ]

  private func configuration(_ optimizer: OptimizerConfiguration) -> TrainerConfiguration {
    TrainerConfiguration(
      epochs: 6, batchSize: 16, seed: 11, optimizer: optimizer, schedule: .oneCycleDefault,
      earlyStopping: EarlyStopping(patience: 5))
  }

  /// Numbers only: the time an epoch takes differs from run to run.
  private func untimed(_ history: [EpochRecord]) -> [EpochRecord] {
    history.map { record in
      var copy = record
      copy.seconds = 0
      return copy
    }
  }

  @Test(arguments: optimizers) func everyStepResumesToTheSameBits(
    optimizer: OptimizerConfiguration
  ) throws {
    let configuration = configuration(optimizer)
    let plan = makePlan(dropout: 0.3)
    var states: [TrainerState] = []
    let whole = try makeTrainer(plan, configuration, rate: 0.02).run(
      TrainerHooks(
        onEpoch: { states.append(try $1.exportState()) },
        onBatch: { states.append(try $0.exportState()) }))
    #expect(states.count == 6 * 6 + 6)
    for state in states {
      let other = makePlan(dropout: 0.3)
      let trainer = try makeTrainer(other, configuration, rate: 0.02)
      try trainer.importState(stored(state))
      let resumed = try trainer.run()
      #expect(other.exportParameters() == plan.exportParameters())
      #expect(untimed(resumed.history) == untimed(whole.history))
      #expect(resumed.bestEpoch == whole.bestEpoch)
    }
  }

  @Test func forgettingAnyPartOfTheStateChangesTheResult() throws {
    let configuration = configuration(.adamW())
    let plan = makePlan(dropout: 0.3)
    var middle: TrainerState?
    _ = try makeTrainer(plan, configuration, rate: 0.02).run(
      TrainerHooks(onBatch: { if $0.progress.step == 14 { middle = try $0.exportState() } }))
    let state = try #require(middle)
    let zeros = Parameters(["fc.weight": Tensor(zeros: [3, 6]), "fc.bias": Tensor(zeros: [3])])
    let changes: [(inout TrainerState) -> Void] = [
      { $0.optimizer.slots["mean"] = zeros }, { $0.optimizer.slots["square"] = zeros },
      { $0.optimizer.steps["fc.weight"] = 1 }, { $0.progress.step = 0 }, { $0.progress.epoch = 1 },
      { $0.progress.batch = 0 }, { $0.parameters["fc.bias"] = Tensor(zeros: [3]) },
    ]
    for (index, change) in changes.enumerated() {
      var damaged = state
      change(&damaged)
      let other = makePlan(dropout: 0.3)
      let trainer = try makeTrainer(other, configuration, rate: 0.02)
      try trainer.importState(damaged)
      _ = try trainer.run()
      #expect(other.exportParameters() != plan.exportParameters(), "change \(index)")
    }
  }

  @Test func cancellationStopsBetweenBatchesAndContinues() throws {
    let configuration = configuration(.adamW())
    let whole = makePlan(dropout: 0.3)
    _ = try makeTrainer(whole, configuration).run()
    let plan = makePlan(dropout: 0.3)
    let trainer = try makeTrainer(plan, configuration)
    let result = try trainer.run(TrainerHooks(isCancelled: { trainer.progress.step == 8 }))
    #expect(result.outcome == .cancelled)
    #expect((trainer.progress.epoch, trainer.progress.batch) == (1, 2))
    #expect(try trainer.run().outcome == .finished)
    #expect(plan.exportParameters() == whole.exportParameters())
  }

  @Test func stateOfAnotherRunIsRefused() throws {
    let state = try makeTrainer(makePlan(), configuration(.adamW())).exportState()
    #expect(throws: TrainingError.incompatibleState("its configuration differs")) {
      try makeTrainer(makePlan(), TrainerConfiguration(epochs: 6)).importState(state)
    }
    let fewer = clouds(80, inputs: 6, classes: 3, seed: 1)
    #expect(throws: TrainingError.self) {
      try makeTrainer(makePlan(), configuration(.adamW()), on: fewer).importState(state)
    }
    #expect(throws: TrainingError.self) {
      try TrainerState(progress: state.progress, tensors: ["surprise": Tensor(zeros: [1])])
    }
  }

  @Test func stateThatLacksTheOptimizerIsRefused() throws {
    var state = try makeTrainer(makePlan(), configuration(.adamW())).exportState()
    state.optimizer = OptimizerState()
    #expect(throws: TrainingError.self) {
      try makeTrainer(makePlan(), configuration(.adamW())).importState(state)
    }
  }
}

/// Ways for a process to end, and the last state it had saved.
private enum Death: String, CaseIterable, Sendable {
  case midEpoch, lastStepOfEpoch, duringEvaluation, epochBoundary, firstStep, beforeFirstCheckpoint
}

private struct Killed: Error {}

/// Validation samples that cannot be read in one epoch.
private final class DyingFeatures: FeatureSource {
  private let source = validation
  private var readings = 0
  let dyingReading: Int

  init(dyingReading: Int) { self.dyingReading = dyingReading }
  var count: Int { source.count }
  var stride: Int { source.stride }
  func label(_ index: Int) -> Int { source.label(index) }
  func copyFeatures(
    of indices: ArraySlice<Int>, view: FeatureView, into output: UnsafeMutableBufferPointer<Float>
  ) throws {
    readings += 1
    if readings == dyingReading { throw Killed() }
    source.copyFeatures(of: indices, view: view, into: output)
  }
}

@Suite struct ResumeMatrixTests {
  private static let optimizers = [
    "sgd": OptimizerConfiguration(rule: .sgd(), weightDecay: .l2(1e-3)),
    "adam": OptimizerConfiguration(rule: .adam()),
  ]

  private func configuration(_ optimizer: String, accumulation: Int) throws -> TrainerConfiguration
  {
    TrainerConfiguration(
      epochs: 4, batchSize: accumulation > 1 ? 8 : 16, seed: 5,
      optimizer: try #require(ResumeMatrixTests.optimizers[optimizer]),
      schedule: .sgdr(cycleLength: 2, multiplier: 1, lowStart: true), accumulation: accumulation)
  }

  /// Trains until `death` in the second epoch (the first, for the two early ones) and returns what a
  /// process that saves after every step and every epoch had saved last.
  private func lastState(
    _ death: Death, _ configuration: TrainerConfiguration
  ) throws -> TrainerState? {
    var saved: TrainerState?
    let dying = DyingFeatures(dyingReading: death == .duringEvaluation ? 2 : 100)
    let trainer = try makeTrainer(
      makePlan(dropout: 0.3), configuration, rate: 0.05, validating: dying)
    let steps = trainer.curve.stepsPerEpoch
    let hooks = TrainerHooks(
      onEpoch: { record, trainer in
        saved = try trainer.exportState()
        if death == .epochBoundary, record.epoch == 1 { throw Killed() }
      },
      onBatch: { trainer in
        let step = trainer.progress.step
        if death == .beforeFirstCheckpoint, step == 1 { throw Killed() }
        saved = try trainer.exportState()
        switch death {
        case .midEpoch where step == steps + 3, .lastStepOfEpoch where step == 2 * steps,
          .firstStep where step == 1:
          throw Killed()
        default: break
        }
      })
    #expect(throws: Killed.self) { try trainer.run(hooks) }
    return saved
  }

  @Test(arguments: Death.allCases, ["sgd", "adam"])
  private func anyDeathResumesToTheSameBits(death: Death, optimizer: String) throws {
    for accumulation in [1, 3] {
      let configuration = try configuration(optimizer, accumulation: accumulation)
      let whole = makePlan(dropout: 0.3)
      _ = try makeTrainer(whole, configuration, rate: 0.05).run()
      let state = try lastState(death, configuration)
      #expect((state == nil) == (death == .beforeFirstCheckpoint))
      let resumed = makePlan(dropout: 0.3)
      let trainer = try makeTrainer(resumed, configuration, rate: 0.05)
      if let state { try trainer.importState(stored(state)) }
      _ = try trainer.run()
      #expect(resumed.exportParameters() == whole.exportParameters())
    }
  }

  @Test(arguments: ["sgd", "adam"]) func theComparisonCanFail(optimizer: String) throws {
    for accumulation in [1, 3] {
      let configuration = try configuration(optimizer, accumulation: accumulation)
      let whole = makePlan(dropout: 0.3)
      _ = try makeTrainer(whole, configuration, rate: 0.05).run()
      let state = try #require(try lastState(.midEpoch, configuration))
      let zeros = Parameters(["fc.weight": Tensor(zeros: [3, 6]), "fc.bias": Tensor(zeros: [3])])
      let slot = optimizer == "adam" ? "mean" : "momentum"
      var changes: [(inout TrainerState) -> Void] = [
        { $0.optimizer.slots[slot] = zeros }, { $0.progress.step -= 1 },
        // The order of the samples follows from the epoch, the place in it from the batch.
        { $0.progress.epoch -= 1 }, { $0.progress.batch -= 1 },
      ]
      if optimizer == "adam" { changes.append { $0.optimizer.steps["fc.weight"] = 1 } }
      for (index, change) in changes.enumerated() {
        var damaged = state
        change(&damaged)
        let other = makePlan(dropout: 0.3)
        let trainer = try makeTrainer(other, configuration, rate: 0.05)
        try trainer.importState(damaged)
        _ = try trainer.run()
        #expect(other.exportParameters() != whole.exportParameters(), "change \(index)")
      }
    }
  }
}

/// A trip through what a checkpoint stores.
private func stored(_ state: TrainerState) throws -> TrainerState {
  let json = try JSONEncoder().encode(state.progress)
  return try TrainerState(
    progress: JSONDecoder().decode(TrainerProgress.self, from: json), tensors: state.tensors)
}
