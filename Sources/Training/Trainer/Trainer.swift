// SPDX-License-Identifier: Apache-2.0

package import ThawExecution
import ThawNetwork
package import ThawRanks

/// Trains a plan: epochs, batches, steps, validation, early stopping, best weights.
///
/// Works on one thread, the one that calls ``run(_:)``; hooks are called on it. A run can be stopped
/// between any two batches, exported, and continued in another process to the same bits.
package final class Trainer {
  /// Where the run is.
  package private(set) var progress: TrainerProgress
  /// The schedule in steps; a pure function, also for drawing it. Its first step is that of the run,
  /// or that of the trainer's own epochs when they restart the schedule.
  package let curve: ScheduleCurve

  private let plan: any TrainingPlan
  private let validation: (any FeatureSource)?
  private let loss: any Loss
  private let gradient: any BatchGradient
  /// Who trains: each with all weights, making the same steps.
  let ranks: RankGroup
  private let optimizer: Optimizer
  /// What is judged and kept in place of the weights; nil without averaging.
  private let average: WeightAverage?
  private let order: BatchOrder
  private let rates: LearningRates
  private let parameterRates: [Double]
  private var stepRates: [Double]
  private var best: Parameters?
  private var lastGood: Parameters
  /// The batch of the last step, to look for an overflow that shows later.
  private var lastBatch: TrainingBatch?
  private var divergence: TrainingError?
  private let epochs: Range<Int>
  /// The step at which ``curve`` begins.
  private let firstStep: Int

  /// A run at its start, from the plan's present weights.
  ///
  /// - Parameters:
  ///   - rates: learning rates before the schedule's factor.
  ///   - validation: judged after each epoch; nil or empty for none (then the last weights are kept).
  ///   - loss: what is made small. Validation uses it without smoothing and weights (``Loss/plain``), the
  ///     number that evaluation reports too.
  ///   - gradient: where gradients come from; this process by default.
  ///   - ranks: who computes the shards of a step; all of them run the same trainer.
  ///   - isAskedToStop: where there are shards, asked at every step; when any rank says yes, all of them
  ///     end before the next one as if cancelled.
  /// - Throws: ``TrainingError/noSamples(split:)`` when `training` is empty,
  ///   ``TrainingError/impossibleMixing(_:)`` for cutmix of features without an extent.
  package convenience init(
    _ configuration: TrainerConfiguration, plan: any TrainingPlan, rates: LearningRates,
    training: any FeatureSource, validation: (any FeatureSource)? = nil,
    loss: any Loss = SoftmaxCrossEntropy(), gradient: (any BatchGradient)? = nil,
    ranks: RankGroup = .alone, isAskedToStop: @escaping () -> Bool = { false }
  ) throws {
    try self.init(
      configuration, span: TrainerSpan(epochs: 0..<max(configuration.epochs, 0)), plan: plan,
      rates: rates, training: training, validation: validation, loss: loss, gradient: gradient,
      ranks: ranks, isAskedToStop: isAskedToStop)
  }

  /// A part of a run: see ``PhasedTraining``.
  init(
    _ configuration: TrainerConfiguration, span: TrainerSpan, plan: any TrainingPlan,
    rates: LearningRates, training: any FeatureSource, validation: (any FeatureSource)?,
    loss: any Loss, gradient: (any BatchGradient)?, ranks: RankGroup = .alone,
    isAskedToStop: @escaping () -> Bool = { false }
  ) throws {
    precondition(configuration.problem == nil, configuration.problem ?? "")
    guard training.count > 0 else { throw TrainingError.noSamples(split: "train") }
    if let mixing = configuration.mixing, gradient == nil,
      let problem = BatchMixer.problem(mixing, source: training, input: plan.inputShape)
    {
      throw TrainingError.impossibleMixing(problem)
    }
    self.plan = plan
    self.loss = loss
    self.rates = rates
    self.validation = validation.flatMap { $0.count > 0 ? $0 : nil }
    self.ranks = ranks
    self.gradient =
      try gradient
      ?? Trainer.gradient(
        configuration, plan: plan, source: training, loss: loss, ranks: ranks, isAskedToStop)
    optimizer = Optimizer(configuration.optimizer)
    average = configuration.weightAveraging.map { WeightAverage(of: plan, decay: $0) }
    order = BatchOrder(
      count: training.count, batchSize: configuration.stepSize, seed: configuration.seed)
    epochs = span.epochs
    firstStep = span.restartsSchedule ? span.epochs.lowerBound * order.batches.count : 0
    curve = (span.schedule ?? configuration.schedule).curve(
      stepsPerEpoch: order.batches.count,
      epochs: span.restartsSchedule ? span.epochs.count : configuration.epochs)
    parameterRates = plan.trainable.map { rates.rate(of: $0.path) }
    stepRates = parameterRates
    progress = TrainerProgress(configuration: configuration, sampleCount: training.count)
    lastGood = plan.exportParameters()
  }

  /// Trains until the last epoch, early stopping or cancellation.
  ///
  /// Unless cancelled, the plan holds the best weights at the end (lowest validation loss, the
  /// earliest of equals; the last weights without validation).
  ///
  /// - Throws: ``TrainingError/diverged(epoch:batch:step:learningRate:overflow:)`` with the last good
  ///   weights in the plan: the best so far, or those before the epoch. Errors of the plan, the
  ///   source and the hooks.
  package func run(_ hooks: TrainerHooks = TrainerHooks()) throws -> TrainingResult {
    let outcome = try train(hooks)
    if outcome != .cancelled { try plan.importParameters(finalParameters()) }
    return result(outcome)
  }

  /// The same, but the plan keeps the weights of the last step.
  func train(_ hooks: TrainerHooks) throws -> TrainingResult.Outcome {
    if let divergence { throw divergence }
    let end = min(epochs.upperBound, hooks.stopAfter ?? .max)
    while progress.epoch < end && !progress.hasStoppedEarly {
      let indices = order.indices(epoch: progress.epoch)
      while progress.batch < order.batches.count {
        if isCancelled(hooks) { return .cancelled }
        let clock = ContinuousClock.now
        try trainBatch(indices[order.batches[progress.batch]])
        progress.seconds += clock.secondsUntilNow
        if let onCycle = hooks.onCycle, let snapshot = try cycleSnapshot() {
          try onCycle(snapshot, self)
        }
        try hooks.onBatch(self)
      }
      let record = try finishEpoch()
      try hooks.onEpoch(record, self)
    }
    return progress.hasStoppedEarly ? .stoppedEarly : .finished
  }

  /// Alone whoever is asked decides; of several ranks all must stop before the same step.
  private func isCancelled(_ hooks: TrainerHooks) -> Bool {
    guard ranks.hasOthers else { return hooks.isCancelled() }
    return (gradient as? ShardedBatchGradient)?.isStopAgreed ?? false
  }

  /// What the run leaves: the best weights, or the last ones; the last good ones when it diverged.
  func finalParameters() -> Parameters {
    best ?? (divergence == nil ? withAverage(plan.exportParameters) : plan.exportParameters())
  }

  /// Calls `body` with the averaged weights in the plan, if there is an average.
  private func withAverage<Result>(_ body: () throws -> Result) rethrows -> Result {
    average?.exchange(with: plan)
    defer { average?.exchange(with: plan) }
    return try body()
  }

  private func trainBatch(_ samples: ArraySlice<Int>) throws {
    let identity = StepIdentity(seed: progress.configuration.seed, step: progress.step)
    let batch = TrainingBatch(samples: samples, epoch: progress.epoch, identity: identity)
    lastBatch = batch
    let part = try gradient.compute(batch)
    guard part.loss.sum.isFinite, OverflowProbe.gradientsAreFinite(plan) else {
      throw diverge(batch: progress.batch, overflow: try? gradient.findOverflow(in: batch))
    }
    let point = curve(progress.step - firstStep)
    for index in stepRates.indices { stepRates[index] = parameterRates[index] * point.factor }
    optimizer.update(plan, rates: stepRates, momentum: point.momentum)
    guard OverflowProbe.valuesAreFinite(plan) else {
      throw diverge(batch: progress.batch, overflow: OverflowProbe.firstParameter(of: plan))
    }
    average?.update(from: plan, step: progress.step - epochs.lowerBound * order.batches.count)
    progress.totals += part
    progress.batch += 1
    progress.step += 1
  }

  /// The weights, when the last step ended a cycle.
  private func cycleSnapshot() throws -> CycleSnapshot? {
    guard let position = curve.cyclePosition(of: progress.step - 1 - firstStep), position.isLast
    else { return nil }
    return CycleSnapshot(
      cycle: position.cycle, epoch: progress.epoch, parameters: try finiteParameters())
  }

  private func finiteParameters() throws -> Parameters {
    if let divergence { throw divergence }
    let parameters = plan.exportParameters()
    guard parameters.areFinite else {
      throw diverge(
        batch: max(progress.batch - 1, 0), overflow: findOverflow())
    }
    return parameters
  }

  /// Where values that are there between two steps began to be bad.
  private func findOverflow() -> Overflow? {
    lastBatch.flatMap { try? gradient.findOverflow(in: $0) }
      ?? OverflowProbe.firstParameter(of: plan)
  }

  private func finishEpoch() throws -> EpochRecord {
    let clock = ContinuousClock.now
    let (valid, judged) = try withAverage {
      let valid = try validation.map {
        try PlanEvaluator.score($0, by: plan, loss: loss.plain, ranks: ranks)
      }
      return (valid, plan.exportParameters())
    }
    let parameters = average == nil ? judged : plan.exportParameters()
    guard valid?.loss.sum.isFinite ?? true, parameters.areFinite else {
      throw diverge(batch: nil, overflow: findOverflow())
    }
    try requireSameWeights(parameters)
    lastGood = parameters
    if let valid, progress.note(validLoss: valid.loss.mean) { best = judged }
    let factor = curve(progress.step - 1 - firstStep).factor
    let record = EpochRecord(
      epoch: progress.epoch, trainLoss: progress.totals.loss.mean,
      trainAccuracy: progress.totals.accuracy, validLoss: valid?.loss.mean,
      validAccuracy: valid?.accuracy, learningRates: rates.rates.map { $0 * factor },
      seconds: progress.seconds + clock.secondsUntilNow)
    progress.history.append(record)
    progress.epoch += 1
    progress.batch = 0
    progress.totals = BatchResult()
    progress.seconds = 0
    return record
  }

  /// Puts the last good weights back and makes the error.
  private func diverge(batch: Int?, overflow: Overflow?) -> any Error {
    let step = batch == nil ? progress.step - 1 : progress.step
    let rate = (rates.rates.max() ?? 0) * curve(step - firstStep).factor
    let error = TrainingError.diverged(
      epoch: progress.epoch, batch: batch, step: step, learningRate: rate, overflow: overflow)
    divergence = error
    do { try plan.importParameters(best ?? lastGood) } catch { return error }
    return error
  }

  func result(_ outcome: TrainingResult.Outcome) -> TrainingResult {
    TrainingResult(outcome: outcome, bestEpoch: progress.bestEpoch, history: progress.history)
  }

  /// The run as a value, between two steps.
  ///
  /// - Throws: ``TrainingError/diverged(epoch:batch:step:learningRate:overflow:)`` instead of a
  ///   state with weights that are NaN or infinite, so that none is ever saved.
  package func exportState() throws -> TrainerState {
    TrainerState(
      progress: progress, parameters: try finiteParameters(), best: best,
      optimizer: optimizer.exportState(from: plan),
      average: average == nil ? nil : withAverage(plan.exportParameters))
  }

  /// Continues from `state`; ``run(_:)`` then goes on with its next batch.
  ///
  /// - Throws: ``TrainingError/incompatibleState(_:)`` when it is of another run, `NetworkError` when
  ///   its parameters do not fit the plan.
  package func importState(_ state: TrainerState) throws {
    guard state.progress.configuration == progress.configuration else {
      throw TrainingError.incompatibleState("its configuration differs")
    }
    guard state.progress.sampleCount == progress.sampleCount else {
      throw TrainingError.incompatibleState(
        "it was trained on \(state.progress.sampleCount) samples, there are"
          + " \(progress.sampleCount) now")
    }
    guard epochs.contains(state.progress.epoch) || state.progress.epoch == epochs.upperBound else {
      throw TrainingError.incompatibleState(
        "it is in epoch \(state.progress.epoch + 1), outside \(epochs.lowerBound + 1)"
          + "...\(epochs.upperBound)")
    }
    if let average {
      guard let saved = state.average else {
        throw TrainingError.incompatibleState("the averaged weights are missing")
      }
      try plan.importParameters(saved)
      average.restart(from: plan)
    }
    try plan.importParameters(state.parameters)
    try optimizer.importState(state.optimizer, into: plan)
    restore(state)
  }

  /// Begins this part of a run where the part before it ended: `state` is that part's, with the
  /// weights of this plan. Batches, steps and patience begin anew; what the optimizer remembers is
  /// kept by parameter; an average of the weights begins anew with those of this plan.
  func begin(after state: TrainerState) throws {
    try optimizer.importState(state.optimizer, into: plan, allowingNew: true)
    restore(state)
    progress.beginPart(epoch: epochs.lowerBound, step: epochs.lowerBound * order.batches.count)
  }

  private func restore(_ state: TrainerState) {
    progress = state.progress
    best = state.best
    lastGood = state.parameters
    divergence = nil
  }
}

/// Which epochs of a run a trainer trains.
struct TrainerSpan {
  /// Numbered from the start of the run.
  let epochs: Range<Int>
  /// A schedule of its own, over these epochs; nil to go on with the run's.
  var schedule: Schedule?
  /// Whether the schedule begins anew with these epochs.
  var restartsSchedule: Bool { schedule != nil }

  init(epochs: Range<Int>, schedule: Schedule? = nil) {
    self.epochs = epochs
    self.schedule = schedule
  }
}

extension ContinuousClock.Instant {
  /// Seconds from this instant until now.
  fileprivate var secondsUntilNow: Double { duration(to: .now) / .seconds(1) }
}

extension Parameters {
  /// Whether no array holds NaN or infinity.
  fileprivate var areFinite: Bool {
    paths.allSatisfy { path in
      self[path]?.withUnsafeElements { $0.allSatisfy(\.isFinite) } ?? true
    }
  }
}
