// SPDX-License-Identifier: Apache-2.0

import ThawConsole
package import ThawNetwork
package import ThawTraining

extension Recipe {
  /// One phase of fine-tuning; what is nil is as for the whole.
  package struct Phase: Hashable, Sendable {
    /// Passes over the training photos.
    package var epochs: Int?
    /// Layer groups before this one stay frozen.
    package var freezeTo: Int?
    /// Names of the groups that train.
    package var groups: [String] = []
    /// Side of the network's input in pixels.
    package var size: Int?
    /// Largest learning rates.
    package var learningRate: LearningRate?
    /// How the learning rate moves, from the start of the phase.
    package var schedule: ThawTraining.Schedule?
    /// Batch norms of frozen groups.
    package var frozenBatchNorm: BatchNormMode?
    /// Batch norms of the groups that train.
    package var trainableBatchNorm: BatchNormMode?

    /// A phase like the whole.
    package init() {}
  }
}

extension Recipe.FineTune {
  /// The phases of fine-tuning `graph`: at each size those of the recipe, each with its schedule
  /// from the start.
  ///
  /// - Parameters:
  ///   - size: side of the network's own input, where the last phase must end.
  ///   - headAccuracy: between which values that of the head alone lies.
  /// - Throws: ``PipelineError/usage(_:)`` for phases that do not fit the network,
  ///   `NetworkError.unknownGroup`.
  package func schedule(
    of graph: Graph, size: Int, headAccuracy: ClosedRange<Double>
  ) throws -> FreezeSchedule {
    let steps = try self.steps(of: graph)
    let usual = usualRate(headAccuracy: headAccuracy)
    let sizes = train.sizes.isEmpty ? [nil] : train.sizes.map(Int?.some)
    let phases = try sizes.flatMap { side in
      try steps.map { try $0.phase(of: graph, in: self, size: side, usualRate: usual) }
    }
    let last = phases.last?.size ?? size
    guard last == size else {
      throw PipelineError.usage(
        "fine-tuning ends at \(last) pixels but the network predicts at \(size). Let the last of"
          + " fine_tune.sizes be \(size), or set image.size to \(last).")
    }
    return try FreezeSchedule(phases).checked(for: graph)
  }

  /// The phases at one size.
  private func steps(of graph: Graph) throws -> [Recipe.Phase] {
    if !phases.isEmpty { return phases }
    guard !gradual.isEmpty else { return [Recipe.Phase()] }
    guard gradual.count <= graph.groups.count else {
      throw PipelineError.usage(
        "fine_tune.gradual has \(gradual.count) phases, the network has \(graph.groups.count)"
          + " layer groups (\(graph.groups.map(\.name).joined(separator: ", "))).")
    }
    return gradual.enumerated().map { index, epochs in
      var phase = Recipe.Phase()
      phase.epochs = epochs
      phase.freezeTo = -1 - index
      return phase
    }
  }
}

extension Recipe.Phase {
  fileprivate func phase(
    of graph: Graph, in whole: Recipe.FineTune, size: Int?, usualRate: Recipe.LearningRate
  ) throws -> FreezePhase {
    let frozen = frozenBatchNorm ?? whole.frozenBatchNorm
    let trainable = trainableBatchNorm ?? whole.trainableBatchNorm
    let names = groups.isEmpty && freezeTo == nil ? whole.groups : groups
    let plan: FreezePlan =
      names.isEmpty
      ? .freezing(
        to: freezeTo ?? whole.freezeTo, of: graph, frozenBatchNorm: frozen,
        trainableBatchNorm: trainable)
      : try .training(
        groups: names, of: graph, frozenBatchNorm: frozen, trainableBatchNorm: trainable)
    let schedule = schedule ?? whole.train.schedule
    let rate = learningRate ?? whole.train.learningRate ?? usualRate
    return FreezePhase(
      epochs: schedule.wholeEpochs(epochs ?? whole.train.epochs), plan: plan,
      rates: try rate.rates(of: graph, for: "fine_tune.learning_rate"), schedule: schedule,
      size: self.size ?? size)
  }
}

extension Recipe.Train {
  /// The phases of training the head of `graph` alone: one at each size.
  ///
  /// - Throws: ``PipelineError/usage(_:)``.
  package func schedule(
    ofHead graph: Graph, size: Int, frozenBatchNorm: BatchNormMode? = nil
  ) throws -> FreezeSchedule {
    let last = sizes.last ?? size
    guard last == size else {
      throw PipelineError.usage(
        "head training ends at \(last) pixels but the network predicts at \(size). Let the last of"
          + " train.sizes be \(size), or set image.size to \(last).")
    }
    let rates = try (learningRate ?? .single(defaultRate)).rates(
      of: graph, for: "train.learning_rate")
    let plan = FreezePlan.freezing(
      to: -1, of: graph, frozenBatchNorm: frozenBatchNorm ?? .inference)
    return try FreezeSchedule(
      (sizes.isEmpty ? [size] : sizes).map { side in
        FreezePhase(
          epochs: schedule.wholeEpochs(epochs), plan: plan, rates: rates, schedule: schedule,
          size: side)
      }
    ).checked(for: graph)
  }
}

extension FreezeSchedule {
  fileprivate func checked(for graph: Graph) throws -> FreezeSchedule {
    if let problem = problem(for: graph) { throw PipelineError.usage(problem) }
    return self
  }
}

extension ThawTraining.Schedule {
  /// The epochs asked for; with restarts, as many whole cycles as reach them.
  package func wholeEpochs(_ asked: Int) -> Int {
    var cycles = 1
    while let whole = epochs(cycles: cycles) {
      if whole >= asked { return whole }
      cycles += 1
    }
    return asked
  }
}

extension Recipe.LearningRate {
  /// The rate of each layer group of `graph`.
  ///
  /// - Parameter name: the setting, for the error.
  /// - Throws: ``PipelineError/usage(_:)`` when a list has not one rate for each group.
  package func rates(of graph: Graph, for name: String) throws -> [Double] {
    let count = graph.groups.count
    switch self {
    case .single(let rate): return [Double](repeating: rate, count: count)
    case .list(let rates):
      guard rates.count == count else {
        throw PipelineError.usage(
          "\(name) has \(rates.count) rates, \(graph.name) has \(count) layer groups"
            + " (\(graph.groups.map(\.name).joined(separator: ", "))). Give one for each, a single"
            + " one, or a range.")
      }
      return rates
    case .range(nil, let to): return LearningRates.headAndTenth(to, groups: count)
    case .range(let from?, let to):
      return LearningRates.geometric(from: from, to: to, groups: count)
    case .layerwise(let to, let decay):
      return LearningRates.layerwise(to, decay: decay, groups: count)
    }
  }

  /// The largest of them.
  package var highest: Double {
    switch self {
    case .single(let rate), .layerwise(let rate, _): rate
    case .list(let rates): rates.max() ?? 0
    case .range(let from, let to): max(from ?? 0, to)
    }
  }
}
