// SPDX-License-Identifier: Apache-2.0

package import ThawImages

/// When to stop before the last epoch.
package struct EarlyStopping: Sendable, Equatable, Codable {
  /// Stop after this many epochs in a row without improvement, at least 1.
  package var patience: Int
  /// By how much the validation loss must fall to count as an improvement.
  package var minimumImprovement: Double

  /// A rule.
  package init(patience: Int, minimumImprovement: Double = 0) {
    precondition(patience > 0, "Patience must be at least 1, got \(patience).")
    self.patience = patience
    self.minimumImprovement = minimumImprovement
  }
}

/// The numbers of a training run. Two runs with equal configuration, learning rates, data and
/// starting weights end in the same bits.
package struct TrainerConfiguration: Sendable, Equatable, Codable {
  /// Passes over the training samples, at least 1.
  package var epochs: Int
  /// Samples of a batch, at least 1; the last of an epoch may have fewer, or one more.
  package var batchSize: Int
  /// Batches whose gradients are added before each step, at least 1. A step is then that of one
  /// batch of `accumulation * batchSize` samples; the last of an epoch is made with what is left.
  /// Everything counted in batches (schedule, hooks, progress) counts these steps.
  package var accumulation: Int
  /// Keys shuffling and dropout.
  package var seed: UInt64
  /// The update.
  package var optimizer: OptimizerConfiguration
  /// How the learning rate moves; stepped per batch.
  package var schedule: Schedule
  /// When to stop early; nil for never. Needs validation samples.
  package var earlyStopping: EarlyStopping?
  /// How the samples of a batch are mixed, keyed by seed and step; nil for not at all. ``MixingPlace``
  /// says what is mixed. Validation never is.
  package var mixing: BatchMixing?
  /// Decay of a moving average of the weights over the steps of each phase, in 0..<1, which is judged
  /// and kept in place of the weights; nil for none.
  package var weightAveraging: Double?
  /// Shards of a step, computed apart and added in a fixed order, so that several ranks can share them;
  /// nil for one. Another number is another training: other parts, other roundings.
  package var shards: Int?

  /// A configuration; traps on numbers below 1.
  package init(
    epochs: Int, batchSize: Int = 64, seed: UInt64 = 0,
    optimizer: OptimizerConfiguration = OptimizerConfiguration(),
    schedule: Schedule = .cosineAnnealing, earlyStopping: EarlyStopping? = nil,
    accumulation: Int = 1, mixing: BatchMixing? = nil, weightAveraging: Double? = nil,
    shards: Int = 1
  ) {
    precondition(
      epochs > 0 && batchSize > 0 && accumulation > 0,
      "Epochs, batch size and accumulation must be at least 1, got \(epochs), \(batchSize) and"
        + " \(accumulation).")
    self.epochs = epochs
    self.batchSize = batchSize
    self.accumulation = accumulation
    self.seed = seed
    self.optimizer = optimizer
    self.schedule = schedule
    self.earlyStopping = earlyStopping
    self.mixing = mixing
    self.weightAveraging = weightAveraging
    // Without the key as before there was one.
    self.shards = shards == 1 ? nil : shards
  }
}

extension TrainerConfiguration {
  /// Samples of an optimizer step.
  package var stepSize: Int { batchSize * accumulation }

  /// What is wrong with the numbers, as a sentence; nil when nothing is. Ask before training with a
  /// configuration that was decoded: ``Trainer`` traps on impossible ones.
  package var problem: String? {
    if epochs < 1 { return "epochs must be at least 1, got \(epochs)." }
    if batchSize < 1 { return "the batch size must be at least 1, got \(batchSize)." }
    if accumulation < 1 { return "accumulation must be at least 1, got \(accumulation)." }
    if let shards, shards < 1 { return "shards must be at least 1, got \(shards)." }
    if let patience = earlyStopping?.patience, patience < 1 {
      return "patience must be at least 1, got \(patience)."
    }
    if let decay = weightAveraging, !(decay >= 0 && decay < 1) {
      return "the decay of averaged weights must be at least 0 and below 1, got \(decay)."
    }
    return optimizer.problem ?? schedule.problem
  }
}

/// What one epoch did.
package struct EpochRecord: Sendable, Equatable, Codable {
  /// 0-based.
  package var epoch: Int
  /// Mean loss over the epoch's batches, each before its step, as trained (dropout, smoothing).
  package var trainLoss: Double
  /// Share of right predictions in the same passes.
  package var trainAccuracy: Double
  /// Plain cross-entropy on the validation samples after the epoch; nil without any.
  package var validLoss: Double?
  /// Accuracy on the validation samples; nil without any.
  package var validAccuracy: Double?
  /// Learning rate of each layer group (or the single one) at the epoch's last step.
  package var learningRates: [Double]
  /// Time of the epoch, validation included.
  package var seconds: Double

  /// A record.
  package init(
    epoch: Int, trainLoss: Double, trainAccuracy: Double, validLoss: Double?,
    validAccuracy: Double?, learningRates: [Double], seconds: Double
  ) {
    self.epoch = epoch
    self.trainLoss = trainLoss
    self.trainAccuracy = trainAccuracy
    self.validLoss = validLoss
    self.validAccuracy = validAccuracy
    self.learningRates = learningRates
    self.seconds = seconds
  }

  private enum CodingKeys: String, CodingKey {
    case epoch, seconds
    case trainLoss = "train_loss"
    case trainAccuracy = "train_accuracy"
    case validLoss = "valid_loss"
    case validAccuracy = "valid_accuracy"
    case learningRates = "learning_rates"
  }
}
