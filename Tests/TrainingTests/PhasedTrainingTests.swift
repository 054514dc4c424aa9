// SPDX-License-Identifier: Apache-2.0

import Foundation
import Testing
import ThawExecution
import ThawNetwork
import ThawReference
import ThawTensors
import ThawTestSupport
import ThawTraining

private let classes = 3
private let training = clouds(50, inputs: 6, classes: classes, seed: 1)
private let validation = clouds(30, inputs: 6, classes: classes, seed: 2)

/// Batch norm (stem), a dense layer (body), another (head).
private let graph: Graph = {
  var builder = GraphBuilder(name: "phases", inputChannels: 6)
  builder.add("bn", .batchNormalization(BatchNormalization(channels: 6)))
  builder.add("flatten", .flatten)
  builder.beginGroup("body")
  builder.add("fc1", .dense(Dense(inputs: 6, outputs: 8)))
  builder.add("relu", .activation(.relu))
  builder.beginGroup("head")
  builder.add("fc2", .dense(Dense(inputs: 8, outputs: classes)))
  return builder.build()
}()

private let start = Parameters.procedural(for: graph)

/// The suffix of a freeze plan, and what the prefix makes of the samples.
private func compile(_ phase: FreezePhase, _ parameters: Parameters) throws -> PhaseSetting {
  let engine = ReferenceEngine<Float>()
  let compiled = try Compiler(inference: engine, training: engine).compile(
    graph, parameters: parameters, freezing: phase.plan, microBatch: 8, batch: 11,
    size: Extent2D(1))
  func features(of source: InMemoryFeatures) throws -> InMemoryFeatures {
    guard let prefix = compiled.prefix else { return source }
    let stride = prefix.outputShape.count / prefix.outputShape[0]
    let output = try Tensor<Float>(shape: [source.count, stride]) { output in
      try source.features.withUnsafeElements { try prefix.run($0, into: output) }
    }
    return InMemoryFeatures(output, labels: source.labels)
  }
  return PhaseSetting(
    plan: try #require(compiled.suffix), training: try features(of: training),
    validation: try features(of: validation))
}

/// Head; body and head; everything, batch norm included; the head again.
private func phases(_ restart: Schedule? = nil) -> FreezeSchedule {
  FreezeSchedule([
    FreezePhase(epochs: 2, plan: .freezing(to: -1, of: graph), rates: [0.05]),
    FreezePhase(epochs: 2, plan: .freezing(to: 1, of: graph), rates: [0.001, 0.01, 0.02]),
    FreezePhase(
      epochs: 2, plan: .freezing(to: 0, of: graph, trainableBatchNorm: .training),
      rates: [0.001, 0.01, 0.02], schedule: restart),
    FreezePhase(epochs: 1, plan: .freezing(to: -1, of: graph), rates: [0.01]),
  ])
}

private func makeTraining(
  _ schedule: FreezeSchedule = phases(), optimizer: OptimizerConfiguration = .adamW(),
  stopping: EarlyStopping? = nil
) throws -> PhasedTraining {
  try PhasedTraining(
    schedule,
    configuration: TrainerConfiguration(
      epochs: 1, batchSize: 10, seed: 3, optimizer: optimizer, schedule: .cosineAnnealing,
      earlyStopping: stopping),
    graph: graph, parameters: start, compile: compile)
}

@Suite struct PhasedTrainingTests {
  /// Paths that differ between two networks.
  private func differences(_ first: Parameters, _ second: Parameters) -> [String] {
    first.paths.filter { first[$0] != second[$0] }.map(\.description)
  }

  @Test func eachPhaseChangesWhatItsPlanTrains() throws {
    let run = try makeTraining()
    var after: [Parameters] = []
    let result = try run.run(
      TrainerHooks(onEpoch: { record, _ in
        if [1, 3, 5, 6].contains(record.epoch) { after.append(run.parameters) }
      }))
    #expect(result.outcome == .finished)
    #expect(result.history.map(\.epoch) == Array(0..<7))
    try #require(after.count == 4)
    #expect(differences(start, after[0]) == ["fc2.bias", "fc2.weight"])
    #expect(
      differences(after[0], after[1]) == ["fc1.bias", "fc1.weight", "fc2.bias", "fc2.weight"])
    #expect(differences(after[1], after[2]).count == 8)
    #expect(differences(after[2], after[3]) == ["fc2.bias", "fc2.weight"])
  }

  private func warmedUp(_ epochs: Int, then next: Schedule = .cosineAnnealing) -> FreezeSchedule {
    FreezeSchedule([
      FreezePhase(
        epochs: epochs, plan: .freezing(to: 1, of: graph), rates: [0.01],
        schedule: .warmUp(epochs: 1, start: 0.01, next: next))
    ])
  }

  private struct Changed: Error { let state: PhasedTrainingState }

  /// State of a run after its first `epochs`.
  private func state(after epochs: Int, of schedule: FreezeSchedule) throws -> PhasedTrainingState {
    let run = try makeTraining(schedule)
    do {
      _ = try run.run(
        TrainerHooks(onEpoch: { record, _ in
          if record.epoch + 1 == epochs { throw Changed(state: try run.exportState()) }
        }))
    } catch let changed as Changed { return changed.state }
    throw Changed(state: try run.exportState())
  }

  /// After its warm-up a run may last longer or shorter, to the bits of one that was meant to.
  @Test(arguments: [2, 3, 9])
  func aWarmUpIsTheSameHoweverManyEpochsFollow(epochs: Int) throws {
    let first = try state(after: 1, of: warmedUp(5))
    let changed = try makeTraining(warmedUp(epochs))
    try changed.importState(try #require(first.lasting(epochs)))
    let straight = try makeTraining(warmedUp(epochs))
    let results = try (changed.run(), straight.run())
    #expect(results.0.history.map(\.validLoss) == results.1.history.map(\.validLoss))
    #expect(results.0.history.count == epochs)
    #expect(differences(changed.parameters, straight.parameters).isEmpty)
    // Behind the warm-up a cosine knows where it ends; cycles do not.
    #expect(try state(after: 2, of: warmedUp(5)).lasting(epochs) == nil)
    let cycles = warmedUp(5, then: .sgdr(cycleLength: 1, multiplier: 2, lowStart: false))
    #expect(try state(after: 2, of: cycles).lasting(9) != nil)
    #expect(try state(after: 2, of: cycles).lasting(1) == nil)
  }

  /// A run that stops is the beginning of the whole one, and keeps the best of its epochs.
  @Test func aRunStopsAfterTheEpochsItIsTold() throws {
    let whole = try makeTraining(warmedUp(6)).run()
    let run = try makeTraining(warmedUp(6))
    let result = try run.run(TrainerHooks(stopAfter: 3))
    #expect(result.outcome == .finished && result.history.count == 3)
    #expect(result.history.map(\.validLoss) == whole.history.prefix(3).map(\.validLoss))
    let losses = try result.history.map { try #require($0.validLoss) }
    #expect(result.bestEpoch == losses.firstIndex(of: losses.min() ?? 0))
    // A run that goes on from there ends at once, with the same weights.
    let again = try makeTraining(warmedUp(6))
    try again.importState(try state(after: 3, of: warmedUp(6)))
    let ended = try again.run(TrainerHooks(stopAfter: 3))
    #expect(ended.history.count == 3)
    #expect(differences(again.parameters, run.parameters).isEmpty)
  }

  @Test func theBestEpochOfAnyPhaseIsKeptForTheWholeNetwork() throws {
    // The last two phases train at rates that spoil everything: the best epoch is an earlier one.
    var schedule = phases()
    schedule.phases[2].rates = [5]
    schedule.phases[3].rates = [5]
    let run = try makeTraining(schedule)
    var networks: [Parameters] = []
    let result = try run.run(TrainerHooks(onEpoch: { _, _ in networks.append(run.parameters) }))
    let losses = result.history.compactMap(\.validLoss)
    let best = try #require(losses.indices.min { losses[$0] < losses[$1] })
    #expect(best < 4)
    #expect(result.bestEpoch == best)
    #expect(differences(run.parameters, networks[best]).isEmpty)
    #expect(!differences(networks[6], networks[best]).isEmpty)
  }

  @Test func scheduleContinuesOrRestarts() throws {
    for restart in [nil, Schedule.cosineAnnealing] {
      let run = try makeTraining(phases(restart))
      var points: [Double] = []
      let result = try run.run(
        TrainerHooks(onBatch: { trainer in
          if trainer.progress.step % 5 == 0 { points.append(Double(trainer.progress.step)) }
        }))
      #expect(points == [5, 10, 15, 20, 25, 30, 35])
      // The last step of epoch 5 (0-based 4), the first of the third phase, has the step 24 of 35.
      let whole = Schedule.cosineAnnealing.curve(stepsPerEpoch: 5, epochs: 7)
      let own = Schedule.cosineAnnealing.curve(stepsPerEpoch: 5, epochs: 2)
      let factor = restart == nil ? whole(24).factor : own(4).factor
      expectClose(result.history[4].learningRates, [0.001, 0.01, 0.02].map { $0 * factor })
    }
  }

  @Test(arguments: [OptimizerConfiguration.adamW(), OptimizerConfiguration()])
  func optimizerMemoryFollowsTheParameter(optimizer: OptimizerConfiguration) throws {
    let run = try makeTraining(optimizer: optimizer)
    var states: [Int: OptimizerState] = [:]
    _ = try run.run(
      TrainerHooks(onBatch: { states[$0.progress.step] = try $0.exportState().optimizer }))
    #expect(states[10]?.steps == ["fc2.weight": 10, "fc2.bias": 10])
    #expect(states[11]?.steps["fc2.weight"] == 11)
    #expect(states[11]?.steps["fc1.weight"] == 1)
    #expect(states[21]?.steps["bn.weight"] == 1)
    #expect(states[31]?.steps == ["fc2.weight": 31, "fc2.bias": 31])
    let slot = optimizer == .adamW() ? "mean" : "momentum"
    let before = try #require(states[10]?.slots[slot]?["fc2.weight"]?.elements)
    let after = try #require(states[11]?.slots[slot]?["fc2.weight"]?.elements)
    // One step keeps nine tenths of the old memory.
    let kept = zip(before, after).map { abs($1 - 0.9 * $0) }
    #expect((kept.max() ?? 1) < (before.map(abs).max() ?? 0))
  }

  @Test func everyStepOfEveryPhaseResumesToTheSameBits() throws {
    let whole = try makeTraining()
    var states: [PhasedTrainingState] = []
    let result = try whole.run(
      TrainerHooks(
        onEpoch: { _, _ in states.append(try whole.exportState()) },
        onBatch: { _ in states.append(try whole.exportState()) }))
    #expect(states.count == 7 * 5 + 7)
    #expect(states.allSatisfy { $0.earlier.count == 0 || $0.phase == 3 })
    #expect(states.last?.earlier.count == 6)
    for state in states {
      let resumed = try makeTraining()
      try resumed.importState(stored(state))
      #expect(resumed.phase == state.phase)
      let again = try resumed.run()
      #expect(resumed.parameters == whole.parameters)
      #expect(again.history.map(\.trainLoss) == result.history.map(\.trainLoss))
    }
  }

  @Test func aStateWithoutWhatEarlierPhasesChangedEndsDifferently() throws {
    let whole = try makeTraining()
    var last: PhasedTrainingState?
    _ = try whole.run(
      TrainerHooks(onBatch: { if $0.progress.step == 32 { last = try whole.exportState() } }))
    var state = try #require(last)
    state.earlier = Parameters()
    state.trainer.best = nil
    state.trainer.progress.bestEpoch = nil
    state.trainer.progress.bestLoss = nil
    let resumed = try makeTraining()
    try resumed.importState(state)
    _ = try resumed.run()
    #expect(resumed.parameters != whole.parameters)
    state.schedule.phases[0].epochs = 3
    #expect(throws: TrainingError.incompatibleState("its phases differ")) {
      try makeTraining().importState(state)
    }
  }

  @Test func earlyStoppingEndsAPhaseNotTheRun() throws {
    var schedule = phases()
    schedule.phases[0].epochs = 20
    schedule.phases[0].rates = [1e-7]
    let run = try makeTraining(
      schedule, stopping: EarlyStopping(patience: 2, minimumImprovement: 0.01))
    let result = try run.run()
    #expect(run.phase == 3)
    let epochs = result.history.map(\.epoch)
    #expect(Array(epochs.prefix(3)) == [0, 1, 2])
    #expect(epochs[3] == 20)
  }

  @Test func cancellationKeepsThePresentWeights() throws {
    let run = try makeTraining()
    let result = try run.run(TrainerHooks(isCancelled: { run.trainer.progress.step == 13 }))
    #expect(result.outcome == .cancelled)
    #expect(run.phase == 1)
    #expect(try run.run().outcome == .finished)
    let whole = try makeTraining()
    _ = try whole.run()
    #expect(run.parameters == whole.parameters)
  }

  @Test func gradualThawsFromTheHead() {
    let schedule = FreezeSchedule.gradual(epochs: [1, 2, 3], rates: [0.1], of: graph)
    #expect(schedule.phases.map(\.plan.trainableGroups) == [[2], [1, 2], [0, 1, 2]])
    #expect(schedule.epochs == 6)
    #expect(schedule.epochs(ofPhase: 2) == 3..<6)
    #expect(schedule.problem(for: graph) == nil)
    let changes: [(String, (inout FreezeSchedule) -> Void)] = [
      ("at least one", { $0.phases = [] }), ("phase 2: epochs", { $0.phases[1].epochs = 0 }),
      ("2 learning rates for 3", { $0.phases[0].rates = [1, 2] }),
      ("finite", { $0.phases[0].rates = [-1] }),
      ("nothing trains", { $0.phases[0].plan = .inference }),
      ("cosine", { $0.phases[0].schedule = .cosine(minimum: -1) }),
    ]
    for (word, change) in changes {
      var bad = schedule
      change(&bad)
      #expect(bad.problem(for: graph)?.contains(word) == true, "\(word)")
    }
  }

  /// A trip through what a checkpoint stores.
  private func stored(_ state: PhasedTrainingState) throws -> PhasedTrainingState {
    let progress = try JSONEncoder().encode(state.trainer.progress)
    let schedule = try JSONEncoder().encode(state.schedule)
    return PhasedTrainingState(
      phase: state.phase, schedule: try JSONDecoder().decode(FreezeSchedule.self, from: schedule),
      trainer: try TrainerState(
        progress: JSONDecoder().decode(TrainerProgress.self, from: progress),
        tensors: state.trainer.tensors), earlier: state.earlier)
  }
}
