// SPDX-License-Identifier: Apache-2.0

package import ThawRecipes
package import ThawTraining

/// What becomes of a fine-tuning after an epoch.
package enum TrainingPace: Sendable, Equatable {
  /// It goes on as it is.
  case goOn
  /// It lasts so many epochs in all, from now on.
  case lasting(Int)
  /// It ends here.
  case end
}

/// Who decides, between the stages of a fit, what the next ones do: by the time there is.
///
/// Whatever is decided is put in force as an ordinary recipe before it is done, so that the recipe alone repeats
/// it.
package protocol FitPlanning: AnyObject {
  /// The recipe that stages begin with: one that was decided by an earlier call, or `asked`.
  func recipe(for asked: Recipe, in directory: RunDirectory) throws -> Recipe
  /// Called when the photos and the weights are there.
  func begin(_ run: OpenRun) throws -> OpenRun
  /// Called when the features are cached.
  func head(_ run: OpenRun) throws -> OpenRun
  /// Called when the head is trained; nil leaves the backbone frozen.
  func fineTuning(_ run: OpenRun, after head: TrainStage.Summary) throws -> OpenRun?
  /// Called after every epoch of fine-tuning.
  func pace(_ run: OpenRun, after record: EpochRecord) throws -> TrainingPace
  /// Called when all is done.
  func finish(_ run: OpenRun, _ fineTune: FineTuneStage.Summary?) throws -> FitPlanSummary
}

/// What was planned and what became of it: `plan` of `thaw fit --json`.
package struct FitPlanSummary: Encodable, Sendable {
  /// Time for everything.
  package let minutes: Double
  /// Time that everything took, of earlier calls that were interrupted too.
  package let seconds: Double
  /// Side of the network's input, pixels.
  package let size: Int
  /// Epochs of fine-tuning that were trained; 0 where the backbone stayed frozen.
  package let epochs: Int
  /// Photos a second, measured before anything was planned: through the frozen network, and in training.
  package let measured: Measured
  /// What was decided and why, a sentence each, in order.
  package let decisions: [String]
  /// The recipe that repeats the run.
  package let recipe: String

  /// Speeds.
  package struct Measured: Codable, Sendable, Equatable {
    /// Photos a second whose features are computed, at ``FitPlanSummary/size``.
    package let featuresPerSecond: Double
    /// Photos a second that train all layers; nil where nothing trains but the head.
    package let trainingPerSecond: Double?

    package init(featuresPerSecond: Double, trainingPerSecond: Double?) {
      self.featuresPerSecond = featuresPerSecond
      self.trainingPerSecond = trainingPerSecond
    }
  }

  package init(
    minutes: Double, seconds: Double, size: Int, epochs: Int, measured: Measured,
    decisions: [String], recipe: String
  ) {
    self.minutes = minutes
    self.seconds = seconds
    self.size = size
    self.epochs = epochs
    self.measured = measured
    self.decisions = decisions
    self.recipe = recipe
  }
}

/// Ends a training between two epochs because its recipe changes; what it did so far is part of the changed one.
struct TrainingChange: Error {
  /// Epochs of the schedule from now on; nil as before.
  var epochs: Int?
  /// Epochs after which it ends; nil as before.
  var stopAfter: Int?
  /// The training between the two epochs, as the changed recipe has it.
  let state: PhasedTrainingState
}
