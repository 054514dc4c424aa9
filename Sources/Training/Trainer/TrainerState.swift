// SPDX-License-Identifier: Apache-2.0

package import ThawNetwork
package import ThawTensors

/// Where a run is, apart from its arrays: small, and exact as JSON.
package struct TrainerProgress: Sendable, Equatable, Codable {
  /// The run's numbers.
  package var configuration: TrainerConfiguration
  /// Number of training samples.
  package var sampleCount: Int
  /// The epoch under way, 0-based; `configuration.epochs` after the last.
  package var epoch = 0
  /// The next batch of it.
  package var batch = 0
  /// Optimizer steps made.
  package var step = 0
  /// Sums over the epoch's batches so far.
  package var totals = BatchResult()
  /// Seconds spent in the epoch so far.
  package var seconds = 0.0
  /// The epoch with the lowest validation loss, the earliest of equals.
  package var bestEpoch: Int?
  /// That loss.
  package var bestLoss: Double?
  /// The loss that early stopping compares with.
  package var improvedLoss: Double?
  /// Epochs since that one.
  package var epochsWithoutImprovement = 0
  /// Finished epochs.
  package var history: [EpochRecord] = []

  /// The start of a run.
  package init(configuration: TrainerConfiguration, sampleCount: Int) {
    self.configuration = configuration
    self.sampleCount = sampleCount
  }

  /// Whether early stopping has ended the run.
  package var hasStoppedEarly: Bool {
    guard let rule = configuration.earlyStopping else { return false }
    return epochsWithoutImprovement >= rule.patience
  }

  /// Whether no epoch is left to train.
  package var isFinished: Bool { epoch >= configuration.epochs || hasStoppedEarly }

  /// Goes on with another part of the run.
  mutating func beginPart(epoch: Int, step: Int) {
    (self.epoch, batch, self.step) = (epoch, 0, step)
    (totals, seconds) = (BatchResult(), 0)
    (improvedLoss, epochsWithoutImprovement) = (nil, 0)
  }

  /// Notes the validation loss of the epoch under way; returns whether it is the best so far.
  mutating func note(validLoss: Double) -> Bool {
    let needed = configuration.earlyStopping?.minimumImprovement ?? 0
    if improvedLoss.map({ validLoss < $0 - needed }) ?? true {
      improvedLoss = validLoss
      epochsWithoutImprovement = 0
    } else {
      epochsWithoutImprovement += 1
    }
    guard bestLoss.map({ validLoss < $0 }) ?? true else { return false }
    (bestEpoch, bestLoss) = (epoch, validLoss)
    return true
  }
}

/// A whole run between two steps, as a value: what a checkpoint stores.
///
/// Save ``progress`` as JSON and ``tensors`` as arrays. Random numbers need no place here: they are
/// functions of seed, epoch and step.
package struct TrainerState: Sendable, Equatable {
  /// Where the run is.
  package var progress: TrainerProgress
  /// Every parameter and statistic of the plan.
  package var parameters: Parameters
  /// Those of the best epoch; nil before the first validation.
  package var best: Parameters?
  /// What the optimizer remembers.
  package var optimizer: OptimizerState
  /// The averaged weights, with the present statistics; nil without averaging.
  package var average: Parameters?

  /// A state.
  package init(
    progress: TrainerProgress, parameters: Parameters, best: Parameters?, optimizer: OptimizerState,
    average: Parameters? = nil
  ) {
    self.average = average
    self.progress = progress
    self.parameters = parameters
    self.best = best
    self.optimizer = optimizer
  }

  /// All arrays by name: `model/PATH`, `best/PATH`, `average/PATH`, `optimizer/SLOT/PATH`, and `optimizer/step/PATH`
  /// with a parameter's number of steps, [1], exact up to 2^24.
  package var tensors: [String: Tensor<Float>] {
    var result: [String: Tensor<Float>] = [:]
    for path in parameters.paths { result["model/\(path)"] = parameters[path] }
    for path in best?.paths ?? [] { result["best/\(path)"] = best?[path] }
    for path in average?.paths ?? [] { result["average/\(path)"] = average?[path] }
    for (slot, arrays) in optimizer.slots {
      for path in arrays.paths { result["optimizer/\(slot)/\(path)"] = arrays[path] }
    }
    for (path, step) in optimizer.steps {
      result["optimizer/step/\(path)"] = Tensor([Float(step)], shape: [1])
    }
    return result
  }

  /// Puts a state together again.
  ///
  /// - Throws: ``TrainingError/incompatibleState(_:)`` when a name is unknown or the best weights are
  ///   missing.
  package init(progress: TrainerProgress, tensors: [String: Tensor<Float>]) throws {
    var (parameters, best, optimizer) = (Parameters(), Parameters(), OptimizerState())
    var average = Parameters()
    for (name, tensor) in tensors {
      let parts = name.split(separator: "/", maxSplits: 2).map(String.init)
      switch (parts.first, parts.count) {
      case ("model", 2): parameters[ParameterPath(parts[1])] = tensor
      case ("average", 2): average[ParameterPath(parts[1])] = tensor
      case ("best", 2): best[ParameterPath(parts[1])] = tensor
      case ("optimizer", 3) where parts[1] != "step":
        optimizer.slots[parts[1], default: Parameters()][ParameterPath(parts[2])] = tensor
      case ("optimizer", 3) where tensor.count == 1 && tensor[0] >= 0 && tensor[0] <= 0x1p24:
        optimizer.steps[ParameterPath(parts[2])] = Int(tensor[0])
      default: throw TrainingError.incompatibleState("it has an unknown array '\(name)'")
      }
    }
    guard (progress.bestEpoch != nil) == (best.count > 0) else {
      throw TrainingError.incompatibleState("the best weights are missing or unexpected")
    }
    self.init(
      progress: progress, parameters: parameters, best: best.count > 0 ? best : nil,
      optimizer: optimizer, average: average.count > 0 ? average : nil)
  }
}
