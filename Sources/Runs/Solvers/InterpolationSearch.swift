// SPDX-License-Identifier: Apache-2.0

import ThawConsole
import ThawExecution
import ThawInference
import ThawNetwork
import ThawOneDNN
import ThawTraining

/// What fine-tuning leaves: the weights it started from, those it ended with, or some between them,
/// whichever the validation photos like best.
///
/// Everything is judged by the loss over all validation photos, at the size that the network ends
/// with. Without validation photos the end is kept.
struct InterpolationSearch {
  /// Where between start and end, apart from both.
  static let shares = [0.25, 0.5, 0.75]

  let start: FineTuneStart
  let sources: TrainingSourceMaker

  private var context: StageContext { sources.run.context }

  /// The best of the start, `trained` and what lies between, with what was measured of it.
  ///
  /// - Throws: ``PipelineError/interrupted``; errors of the photos.
  func best(_ trained: TrainedNetwork) throws -> TrainedNetwork {
    guard let before = start.record.outcome.bestValidLoss,
      let after = trained.outcome.bestValidLoss
    else { return trained }
    var best = Candidate(
      share: 0, loss: before, accuracy: start.record.outcome.bestValidAccuracy,
      parameters: start.network.parameters)
    func consider(_ candidate: Candidate) { if candidate.loss < best.loss { best = candidate } }
    if sources.run.recipe.fineTune.interpolation { try judgeBetween(trained.parameters, consider) }
    consider(
      Candidate(
        share: 1, loss: after, accuracy: trained.outcome.bestValidAccuracy,
        parameters: trained.parameters))
    report(best.share, loss: best.loss, before: before, after: after)
    var outcome = trained.outcome
    outcome.bestValidLoss = best.loss
    outcome.bestValidAccuracy = best.accuracy
    outcome.interpolation = best.share
    return TrainedNetwork(parameters: best.parameters, outcome: outcome, time: trained.time)
  }

  private struct Candidate {
    let share: Double
    let loss: Double
    let accuracy: Double?
    let parameters: Parameters
  }

  /// Hands over what lies between start and end, one after the other: each is a whole network.
  private func judgeBetween(_ end: Parameters, _ consider: (Candidate) -> Void) throws {
    let network = widest
    let photos = try sources.validation(of: network)
    let loss: any Loss =
      photos.targetRows == nil ? SoftmaxCrossEntropy() : SigmoidCrossEntropy()
    // As many at a time as in training, where steps are cut so that they fit in memory.
    let (batch, shards) = (sources.settings.batch, sources.settings.shards)
    let plan = try context.compiler.compileSuffix(
      network.graph, partition: network.partition, parameters: network.parameters,
      freezing: network.plan, batch: (batch + shards - 1) / shards, size: network.size)
    for share in InterpolationSearch.shares {
      try context.checkInterruption()
      let parameters = network.parameters.interpolated(towards: end, share: Float(share))
      try plan.importParameters(parameters)
      let score = try PlanEvaluator.score(photos, by: plan, loss: loss)
      consider(
        Candidate(
          share: share, loss: score.loss.mean, accuracy: score.accuracy, parameters: parameters))
    }
  }

  /// The network at its start, cut in front of everything that any phase changed, at its last size.
  private var widest: TransferNetwork {
    let networks = start.schedule.phases.map { phase in
      var phase = phase
      phase.size = start.network.preprocessing.inputSize
      return start.network.during(phase, parameters: start.network.parameters)
    }
    return networks.min { $0.partition.cut.index < $1.partition.cut.index } ?? start.network
  }

  private func report(_ share: Double, loss: Double, before: Double, after: Double) {
    let losses =
      "(\(Format.significant(before, 4)) before, \(Format.significant(after, 4)) after"
    switch share {
    case 0:
      context.console.warn(
        "fine-tuning did not lower the validation loss \(losses)); the model it started from is"
          + " kept. Try a lower learning rate or fewer groups.")
    case 1: break
    default:
      context.console.say(
        "Kept the weights \(Format.percent(share, decimals: 0)) of the way from the start to the"
          + " end, whose validation loss is lowest \(losses), \(Format.significant(loss, 4)) there)."
      )
    }
  }
}
