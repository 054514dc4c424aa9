// SPDX-License-Identifier: Apache-2.0

package import ThawExecution
package import ThawNetwork
package import ThawTensors

/// The weights at the end of a cycle, where the learning rate is lowest.
package struct CycleSnapshot: Sendable, Equatable {
  /// Number of the cycle, 0-based.
  package let cycle: Int
  /// The epoch under way, 0-based.
  package let epoch: Int
  /// Every parameter and statistic of the plan.
  package let parameters: Parameters
}

/// Averages what the snapshots of one training predict.
///
/// - Source: Huang et al. 2017, "Snapshot Ensembles", arXiv:1704.00109: probabilities are averaged.
package enum SnapshotEnsemble {
  /// The mean of the members' class probabilities, [count, classes].
  ///
  /// - Parameters:
  ///   - source: read in its clean view.
  ///   - plan: has the weights of each member for a while and its own again when this returns or
  ///     throws.
  ///   - members: at least one.
  /// - Throws: `NetworkError` when a member does not fit the plan; errors of the plan and source.
  package static func probabilities(
    of source: any FeatureSource, by plan: any TrainingPlan, members: [Parameters]
  ) throws -> Tensor<Float> {
    precondition(!members.isEmpty, "An ensemble needs at least one member.")
    return try plan.withParametersRestored {
      Probabilities.mean(
        of: try members.map { member in
          try plan.importParameters(member)
          return Probabilities.softmax(try PlanEvaluator.logits(of: source, by: plan))
        })
    }
  }
}

extension TrainingPlan {
  /// Runs `body` and then puts every parameter and statistic back, also when it throws.
  func withParametersRestored<Result>(_ body: () throws -> Result) throws -> Result {
    let kept = exportParameters()
    let result = Swift.Result { try body() }
    try importParameters(kept)
    return try result.get()
  }
}
