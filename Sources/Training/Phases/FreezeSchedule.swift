// SPDX-License-Identifier: Apache-2.0

package import ThawNetwork

/// One stretch of a gradual unfreezing.
package struct FreezePhase: Sendable, Equatable, Codable {
  /// Length in epochs, at least 1.
  package var epochs: Int
  /// What trains.
  package var plan: FreezePlan
  /// Highest learning rates: a single one, or one for every layer group of the network.
  package var rates: [Double]
  /// A schedule of its own, over these epochs; nil to go on with the run's where it is.
  package var schedule: Schedule?
  /// Side of the network's input in pixels; nil for the network's own. Validation losses at two
  /// sizes are not compared: the best weights are sought anew when it changes.
  package var size: Int?

  /// A phase.
  package init(
    epochs: Int, plan: FreezePlan, rates: [Double], schedule: Schedule? = nil, size: Int? = nil
  ) {
    self.epochs = epochs
    self.plan = plan
    self.rates = rates
    self.schedule = schedule
    self.size = size
  }
}

/// What trains when: the phases of a run, one after the other.
package struct FreezeSchedule: Sendable, Equatable, Codable {
  /// In order.
  package var phases: [FreezePhase]

  /// A schedule of phases.
  package init(_ phases: [FreezePhase]) { self.phases = phases }

  /// Epochs of all phases.
  package var epochs: Int { phases.reduce(0) { $0 + $1.epochs } }

  /// The epochs of phase `index`, numbered from the start of the run.
  package func epochs(ofPhase index: Int) -> Range<Int> {
    let start = phases[..<index].reduce(0) { $0 + $1.epochs }
    return start..<start + phases[index].epochs
  }

  /// What is wrong with it for `graph`, as a sentence; nil when nothing is.
  package func problem(for graph: Graph) -> String? {
    if phases.isEmpty { return "a freeze schedule needs at least one phase." }
    for (index, phase) in phases.enumerated() {
      let name = "phase \(index + 1)"
      if phase.epochs < 1 { return "\(name): epochs must be at least 1, got \(phase.epochs)." }
      if phase.rates.count != 1 && phase.rates.count != graph.groups.count {
        return
          "\(name): \(phase.rates.count) learning rates for \(graph.groups.count) layer groups."
      }
      if !phase.rates.allSatisfy({ $0 >= 0 && $0.isFinite }) {
        return "\(name): learning rates must be finite and at least 0, got \(phase.rates)."
      }
      if phase.plan.trainableParameters(of: graph).isEmpty { return "\(name): nothing trains." }
      if let problem = phase.schedule?.problem { return "\(name): \(problem)" }
    }
    return nil
  }

  /// One more layer group thawed with every phase, from the head towards the input.
  ///
  /// - Parameters:
  ///   - epochs: of each phase; there are as many phases, at most one a group.
  ///   - rates: a single one, or one a group; the same in all phases.
  /// - Source: gradual unfreezing, Howard and Ruder 2018, arXiv:1801.06146.
  package static func gradual(
    epochs: [Int], rates: [Double], of graph: Graph, frozenBatchNorm: BatchNormMode = .inference,
    trainableBatchNorm: BatchNormMode = .inference, schedule: Schedule? = nil
  ) -> FreezeSchedule {
    precondition(
      epochs.count <= graph.groups.count,
      "\(epochs.count) phases need as many layer groups, there are \(graph.groups.count).")
    return FreezeSchedule(
      epochs.enumerated().map { index, epochs in
        FreezePhase(
          epochs: epochs,
          plan: .freezing(
            to: -1 - index, of: graph, frozenBatchNorm: frozenBatchNorm,
            trainableBatchNorm: trainableBatchNorm), rates: rates, schedule: schedule)
      })
  }
}
