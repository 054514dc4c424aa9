// SPDX-License-Identifier: Apache-2.0

import Foundation
import SystemPackage
import ThawConsole
import ThawDatasets
import ThawExecution
import ThawFiles
import ThawInference
import ThawNetwork
import ThawRanks
import ThawRecipes
import ThawTraining

/// A network that has been trained.
struct TrainedNetwork {
  /// Of the whole network.
  let parameters: Parameters
  let outcome: TrainingOutcome
  let time: TrainingTime
}

/// Trains a network by gradient descent, phase by phase: the head alone, or with thawed layer
/// groups, at one input size or several.
struct GradientTraining {
  /// What other ranks are told to follow.
  let job: RankJob.Kind
  let label: String
  let settings: Recipe.Train
  let schedule: FreezeSchedule
  /// At its start.
  let network: TransferNetwork
  let sources: TrainingSourceMaker
  let snapshots: SnapshotFiles
  /// Epochs after which it ends, although the schedule has more; nil for all of them.
  var stopAfter: Int?
  /// Asked after each epoch how it goes on; nil for as it is.
  var pacing: ((EpochRecord) throws -> TrainingPace)?

  private var run: OpenRun { sources.run }
  private var context: StageContext { run.context }
  private var checkpoint: TrainerCheckpoint { TrainerCheckpoint(run.directory, key: snapshots.key) }

  /// Trains, from a checkpoint of the same training if there is one.
  ///
  /// - Throws: ``PipelineError/interrupted`` after saving a checkpoint; ``PipelineError/diverged(_:)``;
  ///   ``TrainingChange`` when ``pacing`` changes how long it lasts.
  func train() throws -> TrainedNetwork {
    let ranks = context.ranks
    guard settings.shards > 1 else {
      if ranks.hasOthers {
        context.console.say(
          "\(label) is rank 0's alone: the recipe has one shard a step. --shards \(ranks.count) spreads it"
            + " (another training: its last bits differ).")
      }
      return try train(.alone)
    }
    try requireShards()
    if ranks.hasOthers, ranks.count > settings.shards, ranks.isLeader {
      context.console.warn(
        "\(settings.shards) shards a step are work for \(settings.shards) of the \(ranks.count) ranks."
      )
    }
    return try run.together(job) { try train(ranks) }
  }

  /// - Throws: ``PipelineError/usage(_:)`` when a batch has fewer photos than shards.
  func requireShards() throws(PipelineError) {
    guard settings.shards > 1 else { return }
    guard settings.shards <= settings.batch else {
      throw .usage(
        "--shards \(settings.shards) has no effect beyond the \(settings.batch) photos of a batch: the others"
          + " would be empty. Give at most --shards \(settings.batch), or a larger --batch.")
    }
  }

  /// - Parameter ranks: who computes the shards. All of them come through here; rank 0 writes.
  private func train(_ ranks: RankGroup) throws -> TrainedNetwork {
    let manifest = run.manifest
    let samples = manifest.records(in: .train).count
    let hasValidation = !manifest.records(in: .valid).isEmpty
    let state = try savedState()
    let loss = settings.loss(
      SampleLabels(of: manifest.records(in: .train), in: manifest),
      classes: manifest.classes.count)
    var isCached = true
    var passing: Set<String> = []
    let training = try PhasedTraining(
      schedule,
      configuration: settings.configuration(
        samples: samples, hasValidation: hasValidation, seed: run.recipe.seed),
      graph: network.graph, parameters: network.parameters,
      loss: loss, resuming: state, ranks: ranks, isAskedToStop: { context.isInterrupted() }
    ) { phase, parameters in
      let setting = try compile(phase, parameters)
      isCached = setting.isCached
      passing.formUnion(try passingKey(phase, parameters).map { [$0] } ?? [])
      return setting.setting
    }
    if let state {
      context.console.say("Continuing after epoch \(state.trainer.progress.epoch).")
    }
    let result: TrainingResult
    do { result = try observe(training, isCached: { isCached }) } catch let error as TrainingError {
      guard case .diverged = error, ranks.isLeader else { throw error }
      throw try keepLastGood(training, isCached: isCached, after: error)
    }
    if ranks.isLeader {
      try run.directory.history.write(result.history)
      try sources.discard(passing)
    }
    return TrainedNetwork(
      parameters: training.parameters,
      outcome: TrainingOutcome(
        epochs: result.history.count, bestValidAccuracy: result.best?.validAccuracy,
        bestValidLoss: result.best?.validLoss, trainableParameters: trainableCount,
        cached: isCached),
      time: TrainingTime(
        photos: result.history.count * samples,
        seconds: result.history.reduce(0) { $0 + $1.seconds }))
  }

  /// Writes what the trainer has put back: the best weights so far, or those before the epoch.
  private func keepLastGood(
    _ training: PhasedTraining, isCached: Bool, after error: TrainingError
  ) throws -> PipelineError {
    let progress = training.trainer.progress
    let best =
      progress.bestEpoch.flatMap { best in progress.history.first { $0.epoch == best } }
      ?? progress.history.last
    try snapshots.writeLastGood(
      training.parameters, best: best, trained: trainableCount, isCached: isCached)
    let state = best.map { "after epoch \($0.epoch + 1)" } ?? "before this training"
    return .diverged(
      "\(error) Those \(state) are in \(run.directory.lastGoodModel.displayed).")
  }

  /// Numbers with a gradient in some phase.
  private var trainableCount: Int {
    var counts: [ParameterPath: Int] = [:]
    for phase in schedule.phases {
      for parameter in phase.plan.trainableParameters(of: network.graph) {
        counts[parameter.path] = parameter.shape.count
      }
    }
    return counts.values.reduce(0, +)
  }

  func compile(
    _ phase: FreezePhase, _ parameters: Parameters
  ) throws -> (setting: PhaseSetting, isCached: Bool) {
    let network = network.during(phase, parameters: parameters)
    let sources = try sources.sources(of: network)
    let plan = try network.trainingPlan(phase, settings: settings, run: run)
    return (
      PhaseSetting(plan: plan, training: sources.train, validation: sources.valid),
      sources.isCached
    )
  }

  /// The key of features that only this training can need: those behind layers that an earlier
  /// phase changed. Nil for those of the network it started from.
  private func passingKey(_ phase: FreezePhase, _ parameters: Parameters) throws -> String? {
    let key = try sources.key(of: network.during(phase, parameters: parameters))
    let lasting = try sources.key(of: network.during(phase, parameters: network.parameters))
    return key == lasting ? nil : key
  }

  /// The checkpoint to continue from, if there is one; a damaged one must not block the training.
  private func savedState() throws -> PhasedTrainingState? {
    if checkpoint.isOfAnother {
      context.console.say(
        "A training under other settings was interrupted; it is not continued but begins anew.")
    }
    do { return try checkpoint.load() } catch let error where !(error is FileError) {
      context.console.warn("\(error) The training starts from its beginning.")
      return nil
    }
  }

  /// - Parameter isCached: whether the phase of the moment trains on cached features.
  private func observe(
    _ training: PhasedTraining, isCached: @escaping () -> Bool
  ) throws -> TrainingResult {
    let progress = context.console.progress(
      label, total: schedule.epochs * training.trainer.curve.stepsPerEpoch, unit: "steps",
      completed: training.trainer.progress.step, saysSteps: true)
    let measure = run.manifest.accuracyName
    var lines = EpochLines(epochs: schedule.epochs, accuracyName: measure)
    var pace = SavingPace()
    // Of several ranks, which are in the same state, one writes.
    let isWriter = context.ranks.isLeader
    func saveSometimes() throws {
      guard isWriter else { return }
      try pace.save { try checkpoint.save(try training.exportState()) }
    }
    var detail: String?
    let hooks = TrainerHooks(
      onEpoch: { [pacing, stopAfter] record, trainer in
        let accuracy = record.validAccuracy.map { ", valid \(measure) \(Format.percent($0))" } ?? ""
        detail = phaseName(training.phase) + "epoch \(record.epoch + 1)\(accuracy)"
        progress.update(completed: trainer.progress.step, detail: detail, loss: record.trainLoss)
        if let line = lines.line(record, timeLeft: progress.timeLeft) { progress.say(line) }
        context.onEpoch(label, record)
        try saveSometimes()
        let isLast = record.epoch + 1 >= min(schedule.epochs, stopAfter ?? .max)
        if let pacing, !isLast { try change(training, to: pacing(record), after: record) }
      },
      onBatch: { trainer in
        progress.update(completed: trainer.progress.step, detail: detail)
        try saveSometimes()
      },
      onCycle: { snapshot, _ in
        guard isWriter else { return }
        try snapshots.write(
          training.parameters, epoch: snapshot.epoch, trained: trainableCount,
          isCached: isCached())
      },
      isCancelled: { context.isInterrupted() }, stopAfter: stopAfter)
    let result = try training.run(hooks)
    guard result.outcome != .cancelled else {
      if isWriter { try checkpoint.save(try training.exportState()) }
      throw PipelineError.interrupted
    }
    progress.finish(summary(of: result))
    return result
  }

  /// Ends the training where it is when its recipe is to change.
  private func change(
    _ training: PhasedTraining, to pace: TrainingPace, after record: EpochRecord
  ) throws {
    switch pace {
    case .goOn: return
    case .end:
      throw TrainingChange(stopAfter: record.epoch + 1, state: try training.exportState())
    case .lasting(let asked):
      let epochs = settings.schedule.wholeEpochs(asked)
      guard epochs != schedule.epochs, let state = try training.exportState().lasting(epochs)
      else { return }
      throw TrainingChange(epochs: asked, state: state)
    }
  }

  private func phaseName(_ index: Int) -> String {
    schedule.phases.count > 1 ? "phase \(index + 1) of \(schedule.phases.count), " : ""
  }

  private func summary(of result: TrainingResult) -> String {
    var text = counted(result.history.count, "epoch")
    if result.outcome == .stoppedEarly { text += " (stopped early)" }
    guard let best = result.best, let accuracy = best.validAccuracy else { return text }
    return text
      + ", best was epoch \(best.epoch + 1): valid \(run.manifest.accuracyName) \(Format.percent(accuracy))"
  }
}

extension FilePath {
  /// Writes `history.jsonl`: one line an epoch, all of them anew.
  func write(_ records: [EpochRecord]) throws {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys]
    let lines = try records.map { String(decoding: try encoder.encode($0), as: UTF8.self) + "\n" }
    try AtomicFile.write(self, text: lines.joined())
  }
}
