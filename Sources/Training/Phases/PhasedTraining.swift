// SPDX-License-Identifier: Apache-2.0

package import ThawExecution
package import ThawNetwork
package import ThawRanks

/// What a phase trains on: the cut of the network, and with it the features, follow the freeze plan.
package struct PhaseSetting {
  /// Compiled for the phase's freeze plan.
  package let plan: any TrainingPlan
  /// Inputs of the plan; the same samples in the same order in every phase.
  package let training: any FeatureSource
  /// Judged after each epoch; nil for none.
  package let validation: (any FeatureSource)?

  /// A setting.
  package init(
    plan: any TrainingPlan, training: any FeatureSource, validation: (any FeatureSource)? = nil
  ) {
    self.plan = plan
    self.training = training
    self.validation = validation
  }
}

/// Trains a network phase by phase, each with its own freeze plan: gradual unfreezing.
///
/// A phase starts from the weights its predecessor ended with. The optimizer's memory is kept by
/// parameter path: what trains on keeps its momentum and its step count, what is thawed starts afresh,
/// what is frozen again is forgotten. Epochs and steps are numbered through, so shuffling and dropout
/// never repeat. The learning-rate schedule goes on over the whole run, or begins anew in a phase with
/// a schedule of its own. Early stopping ends the *phase*; the next one starts at its own epoch with
/// new patience. The best weights are those of the lowest validation loss over all phases at the last
/// size.
///
/// Not thread-safe; hooks as for ``Trainer``, except that a checkpoint is this type's
/// ``exportState()``, not the trainer's.
package final class PhasedTraining {
  /// Compiles a phase: the plan for its freeze plan and size from the *whole* network's weights, with
  /// features that fit its cut.
  package typealias Compile = (FreezePhase, Parameters) throws -> PhaseSetting

  /// The phases.
  package let schedule: FreezeSchedule
  /// The phase under way, 0-based.
  package private(set) var phase = 0
  /// Trains the phase under way.
  package private(set) var trainer: Trainer

  private let configuration: TrainerConfiguration
  private let graph: Graph
  private let loss: any Loss
  private let compile: Compile
  private let ranks: RankGroup
  private let isAskedToStop: () -> Bool
  /// Weights of the whole network before the run.
  private let start: Parameters
  /// Those that earlier phases may have changed.
  private var changed = Parameters()
  private var plan: any TrainingPlan
  /// Whether ``run(_:)`` has put the best weights in place, or the last good ones.
  private var hasEnded = false

  /// A run at its start.
  ///
  /// - Parameters:
  ///   - configuration: of the run; its epochs are those of `schedule`, whatever it says.
  ///   - graph: the whole network.
  ///   - parameters: of the whole network.
  ///   - state: continues from there at once, so that no earlier phase is compiled for nothing.
  ///   - ranks, isAskedToStop: see ``Trainer``.
  /// - Throws: errors of `compile`, ``TrainingError/noSamples(split:)``; as ``importState(_:)``.
  package init(
    _ schedule: FreezeSchedule, configuration: TrainerConfiguration, graph: Graph,
    parameters: Parameters, loss: any Loss = SoftmaxCrossEntropy(),
    resuming state: PhasedTrainingState? = nil, ranks: RankGroup = .alone,
    isAskedToStop: @escaping () -> Bool = { false }, compile: @escaping Compile
  ) throws {
    let problem = schedule.problem(for: graph)
    precondition(problem == nil, problem ?? "")
    self.schedule = schedule
    self.configuration = configuration.lasting(schedule.epochs)
    self.graph = graph
    self.loss = loss
    self.compile = compile
    self.ranks = ranks
    self.isAskedToStop = isAskedToStop
    start = parameters
    if let state { changed = try PhasedTraining.changed(in: state, of: schedule) }
    phase = state?.phase ?? 0
    let setting = try compile(schedule.phases[phase], parameters.overlaid(with: changed))
    plan = setting.plan
    trainer = try Trainer(
      self.configuration, phase: phase, of: schedule, graph: graph, setting: setting, loss: loss,
      ranks: ranks, isAskedToStop: isAskedToStop)
    if let state { try trainer.importState(state.trainer) }
  }

  /// Trains until the last phase ends or a hook cancels; see ``Trainer/run(_:)``.
  ///
  /// - Throws: as ``Trainer/run(_:)``, and errors of the compilation of a phase.
  package func run(_ hooks: TrainerHooks = TrainerHooks()) throws -> TrainingResult {
    while true {
      let outcome: TrainingResult.Outcome
      do { outcome = try trainer.train(hooks) } catch let error as TrainingError {
        hasEnded = true
        throw error
      }
      if outcome == .cancelled { return trainer.result(outcome) }
      guard phase + 1 < schedule.phases.count else {
        try plan.importParameters(trainer.finalParameters())
        hasEnded = true
        return trainer.result(outcome)
      }
      try beginNextPhase()
    }
  }

  /// Weights and statistics of the whole network: after ``run(_:)`` the best (the last good
  /// ones when it diverged), until then the present.
  package var parameters: Parameters {
    start.overlaid(with: changed).overlaid(with: plan.exportParameters())
      .overlaid(with: hasEnded ? trainer.finalParameters() : Parameters())
  }

  private func beginNextPhase() throws {
    var state = try trainer.exportState()
    changed = changed.overlaid(with: state.parameters)
    if schedule.phases[phase].size != schedule.phases[phase + 1].size {
      state.best = nil
      (state.progress.bestEpoch, state.progress.bestLoss) = (nil, nil)
    }
    try enter(phase + 1)
    // The best weights so far must tell the whole of what has been trained, or will be.
    let present = plan.exportParameters()
    state.best = state.best.map { changed.overlaid(with: present).overlaid(with: $0) }
    state.parameters = present
    try trainer.begin(after: state)
  }

  private func enter(_ index: Int) throws {
    let setting = try compile(schedule.phases[index], start.overlaid(with: changed))
    trainer = try Trainer(
      configuration, phase: index, of: schedule, graph: graph, setting: setting, loss: loss,
      ranks: ranks, isAskedToStop: isAskedToStop)
    (plan, phase) = (setting.plan, index)
  }

  /// The run as a value, between two steps.
  ///
  /// - Throws: as ``Trainer/exportState()``.
  package func exportState() throws -> PhasedTrainingState {
    let state = try trainer.exportState()
    var earlier = changed
    for path in state.parameters.paths { earlier[path] = nil }
    return PhasedTrainingState(phase: phase, schedule: schedule, trainer: state, earlier: earlier)
  }

  /// Continues from `state`; ``run(_:)`` then goes on with its next batch.
  ///
  /// - Throws: ``TrainingError/incompatibleState(_:)`` when it is of another run; errors of the
  ///   compilation of its phase.
  package func importState(_ state: PhasedTrainingState) throws {
    changed = try PhasedTraining.changed(in: state, of: schedule)
    hasEnded = false
    try enter(state.phase)
    try trainer.importState(state.trainer)
  }

  /// What phases before that of `state` may have changed.
  private static func changed(
    in state: PhasedTrainingState, of schedule: FreezeSchedule
  ) throws -> Parameters {
    guard state.schedule == schedule, schedule.phases.indices.contains(state.phase) else {
      throw TrainingError.incompatibleState("its phases differ")
    }
    return state.earlier.overlaid(
      with: state.phase == 0 ? Parameters() : state.trainer.parameters)
  }
}

/// A phased run between two steps: what a checkpoint stores.
///
/// Save ``trainer``'s progress, ``phase`` and ``schedule`` as JSON; its ``TrainerState/tensors`` and
/// those of ``earlier`` (by any prefix of their own) as arrays.
package struct PhasedTrainingState: Sendable, Equatable {
  /// The phase under way, 0-based.
  package var phase: Int
  /// The phases of the run.
  package var schedule: FreezeSchedule
  /// The run, with the weights of the phase's plan.
  package var trainer: TrainerState
  /// What earlier phases changed and the phase's plan does not hold; empty when phases only thaw.
  package var earlier: Parameters

  /// A state.
  package init(
    phase: Int, schedule: FreezeSchedule, trainer: TrainerState, earlier: Parameters = Parameters()
  ) {
    self.phase = phase
    self.schedule = schedule
    self.trainer = trainer
    self.earlier = earlier
  }

  /// The same state of a run whose only phase lasts `epochs`; nil where what it has done so far depends on how
  /// long it lasts.
  package func lasting(_ epochs: Int) -> PhasedTrainingState? {
    let done = trainer.progress.epoch + (trainer.progress.batch > 0 ? 1 : 0)
    guard schedule.phases.count == 1, epochs >= done,
      (schedule.phases[0].schedule ?? trainer.progress.configuration.schedule)
        .beginsAlike(through: done)
    else { return nil }
    var state = self
    state.schedule.phases[0].epochs = epochs
    state.trainer.progress.configuration.epochs = epochs
    return state
  }
}

extension Trainer {
  fileprivate convenience init(
    _ configuration: TrainerConfiguration, phase index: Int, of schedule: FreezeSchedule,
    graph: Graph, setting: PhaseSetting, loss: any Loss, ranks: RankGroup,
    isAskedToStop: @escaping () -> Bool
  ) throws {
    let phase = schedule.phases[index]
    try self.init(
      configuration,
      span: TrainerSpan(epochs: schedule.epochs(ofPhase: index), schedule: phase.schedule),
      plan: setting.plan,
      rates: phase.rates.count == 1
        ? LearningRates(phase.rates[0]) : LearningRates(phase.rates, for: graph),
      training: setting.training, validation: setting.validation, loss: loss, gradient: nil,
      ranks: ranks, isAskedToStop: isAskedToStop)
  }
}

extension TrainerConfiguration {
  fileprivate func lasting(_ epochs: Int) -> TrainerConfiguration {
    var copy = self
    copy.epochs = epochs
    return copy
  }
}
