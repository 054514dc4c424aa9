// SPDX-License-Identifier: Apache-2.0

import Foundation
import ThawConsole
import ThawDatasets
import ThawFiles
import ThawInference
import ThawRecipes
import ThawTraining

/// How many epochs of fine-tuning fit into the minutes that somebody gave `thaw fit`.
///
/// A schedule runs over all its epochs, so that their number has to be known before the first. It is found
/// by timing a few steps on the photos and the processor at hand, and written down: the same command again
/// goes on with what was decided, however fast the machine is then.
struct TimeLimit {
  /// What was decided, `checkpoints/minutes.json`.
  struct Decision: Codable, Equatable {
    /// Time for everything, minutes.
    let minutes: Double
    /// Epochs that the recipe asked for.
    let wanted: Int
    /// Epochs that fit; 0 leaves the backbone frozen.
    let chosen: Int
    /// Time of one, seconds.
    let secondsPerEpoch: Double
    /// What the choice holds for: the model that fine-tuning starts from.
    let head: String

  }

  private let minutes: Double
  private let begin: Double

  /// Begins now.
  ///
  /// - Parameter minutes: for all stages together, above 0.
  init(minutes: Double) {
    (self.minutes, begin) = (minutes, ProgressLine.monotonicSeconds())
  }

  /// The recipe before an earlier decision: another number of minutes may be decided otherwise.
  static func undecided(_ recipe: Recipe, in directory: RunDirectory) -> Recipe {
    guard let decision = decision(in: directory),
      recipe.fineTune.train.epochs == decision.chosen
    else { return recipe }
    var result = recipe
    result.fineTune.train.epochs = decision.wanted
    return result
  }

  /// - Throws: ``PipelineError/usage(_:)`` where the number of epochs is not one number, or nothing is
  ///   fine-tuned.
  static func check(_ recipe: Recipe) throws(PipelineError) {
    let fineTune = recipe.fineTune
    guard fineTune.enabled else {
      throw .usage(
        "--minutes has no effect: it chooses the epochs of fine-tuning, and the backbone stays frozen."
      )
    }
    guard fineTune.phases.isEmpty, fineTune.gradual.isEmpty, fineTune.train.sizes.isEmpty else {
      throw .usage(
        "--minutes chooses the epochs of fine-tuning, and its phases or sizes say theirs. Leave one out."
      )
    }
  }

  /// The run with the epochs that fit, which its recipe then says; nil when not one does. The recipe then
  /// stays, so that whoever has more time goes on.
  ///
  /// - Throws: what training throws.
  func applied(to run: OpenRun) throws -> OpenRun? {
    let start = try FineTuneStart(run)
    let wanted = run.recipe.fineTune.train.epochs
    let known = TimeLimit.decision(in: run.directory)
    let isKnown =
      known?.minutes == minutes && known?.wanted == wanted && known?.head == start.record.key
    let decision = try known.flatMap { isKnown ? $0 : nil } ?? decide(run, start, wanted: wanted)
    if !isKnown {
      try AtomicFile.write(
        run.directory.timeLimit, bytes: Array(try JSONEncoder().encode(decision)))
    }
    guard decision.chosen > 0 else {
      run.context.console.warn(
        "Not fine-tuned: an epoch takes about \(Format.duration(seconds: decision.secondsPerEpoch)) here, and"
          + " \(minutesText) leave too little for it. The head alone is the model. With more --minutes, or"
          + " none, the same command goes on from it.")
      return nil
    }
    var recipe = run.recipe
    recipe.fineTune.train.epochs = decision.chosen
    let result = run.with(recipe)
    try result.saveRecipe()
    return result
  }

  private func decide(_ run: OpenRun, _ start: FineTuneStart, wanted: Int) throws -> Decision {
    let console = run.context.console
    let pace = try Pace(of: run, start)
    let spent = ProgressLine.monotonicSeconds() - begin
    let left = 60 * minutes - spent - pace.afterwards
    let schedule = run.recipe.fineTune.train.schedule
    // A cycle is not broken off.
    let fitting = (1...wanted).last { Double(schedule.wholeEpochs($0)) * pace.epoch <= left } ?? 0
    if fitting > 0 {
      let time = "an epoch takes about \(Format.duration(seconds: pace.epoch)) here"
      console.say(
        fitting < wanted
          ? "\(fitting) of \(wanted) epochs fit into \(minutesText): \(time)."
          : "All \(counted(wanted, "epoch")) fit into \(minutesText): \(time).")
    }
    return Decision(
      minutes: minutes, wanted: wanted, chosen: fitting, secondsPerEpoch: pace.epoch,
      head: start.record.key)
  }

  private var minutesText: String {
    "\(Format.significant(minutes)) \(minutes == 1 ? "minute" : "minutes")"
  }

  private static func decision(in directory: RunDirectory) -> Decision? {
    guard let bytes = try? FileSystem.read(directory.timeLimit, limit: 1 << 16) else { return nil }
    return try? JSONDecoder().decode(Decision.self, from: Data(bytes))
  }

  /// How long fine-tuning takes on this machine, seconds.
  private struct Pace {
    /// Of training and validation.
    let epoch: Double
    /// Of all that follows the last epoch.
    let afterwards: Double

    /// Makes a few steps of training, which change nothing.
    init(of run: OpenRun, _ start: FineTuneStart) throws {
      let settings = run.recipe.fineTune.train
      let phase = start.schedule.phases[start.schedule.phases.count - 1]
      let (training, held) = (
        run.manifest.records(in: .train).count,
        run.manifest.records.count { $0.split != .train }
      )
      let batch = min(settings.batch, training)
      let configuration = settings.configuration(
        samples: training, hasValidation: false, seed: run.recipe.seed)
      let plan = try start.network.trainingPlan(phase, settings: settings, run: run)
      let source = try TrainingSourceMaker(run: run, settings: settings)
        .sources(of: start.network).train
      let sweep = LearningRateSweep(
        start: 1e-9, end: 1e-8, iterations: LearningRateSweep.minimumIterations,
        batchSize: batch, seed: run.recipe.seed)
      var times: [Double] = [ProgressLine.monotonicSeconds()]
      _ = try LearningRateFinder(sweep, optimizer: configuration.optimizer).search(
        plan, on: source,
        loss: settings.loss(
          SampleLabels(of: run.manifest.records(in: .train), in: run.manifest),
          classes: run.manifest.classes.count), isCancelled: { run.context.isInterrupted() },
        onStep: { _ in times.append(ProgressLine.monotonicSeconds()) })
      try run.context.checkInterruption()
      let steps = zip(times.dropFirst(), times).map { $0 - $1 }
      // The first steps touch memory for the first time.
      let settled = steps.dropFirst(min(2, steps.count - 1)).sorted()
      let step = settled.isEmpty ? 0 : settled[settled.count / 2]
      // Forwards alone is about a third of forwards and backwards; the frozen layers are computed again
      // only when the finished model is judged.
      let pass = step / Double(batch) / 2 * Double(held)
      epoch = step * (Double(training) / Double(batch)).rounded(.up) + pass
      afterwards = pass * Double(4 + run.recipe.evaluate.tta.count) + 3
    }
  }
}
