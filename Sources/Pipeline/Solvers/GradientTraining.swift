// SPDX-License-Identifier: Apache-2.0

import Execution
import Files
import Foundation
import Network
import SystemPackage
import Training

/// Labelled inputs of the suffix: what it trains on, and what it is judged by after each epoch.
struct TrainingData {
  let train: any FeatureSource
  let valid: CachedFeatures
  let classes: [String]
  /// Class indices of the training samples.
  let labels: [Int]
  /// Whether the frozen layers come from the cache.
  let isCached: Bool
}

/// A network that has been trained.
struct TrainedNetwork {
  /// Of the whole network.
  let parameters: Parameters
  let outcome: TrainingOutcome
  let time: TrainingTime
}

/// Trains the suffix of a network by gradient descent: the head alone, or with thawed layer groups.
struct GradientTraining {
  let label: String
  let settings: Recipe.Train
  let seed: UInt64
  let rates: LearningRates
  let network: TransferNetwork
  let data: TrainingData
  let checkpoint: TrainerCheckpoint
  let history: FilePath
  let context: StageContext

  func run() throws -> TrainedNetwork {
    let plan = try context.compiler.compileSuffix(
      network.graph, partition: network.partition, parameters: network.parameters,
      freezing: network.plan, batch: settings.batch + 1, size: network.size)
    let trainer = try Trainer(
      settings.configuration(
        samples: data.train.count, hasValidation: data.valid.count > 0, seed: seed),
      plan: plan, rates: rates, training: data.train, validation: data.valid,
      loss: SoftmaxCrossEntropy(
        labelSmoothing: settings.labelSmoothing,
        classWeights: settings.classWeights(data, console: context.console)))
    try resume(trainer)
    let result = try observe(trainer)
    try history.write(result.history)
    return TrainedNetwork(
      parameters: network.parameters.replacing(plan.exportParameters()),
      outcome: TrainingOutcome(
        epochs: result.history.count, bestValidAccuracy: result.best?.validAccuracy,
        bestValidLoss: result.best?.validLoss,
        trainableParameters: plan.trainable.reduce(0) { $0 + $1.shape.count },
        cached: data.isCached),
      time: TrainingTime(
        photos: result.history.count * data.train.count,
        seconds: result.history.reduce(0) { $0 + $1.seconds }))
  }

  /// Continues from the checkpoint if there is one; a damaged one must not block the training.
  private func resume(_ trainer: Trainer) throws {
    let state: TrainerState?
    do { state = try checkpoint.load() } catch let error where !(error is FileError) {
      return context.console.warn("\(error) The training starts from its beginning.")
    }
    guard let state else { return }
    try trainer.importState(state)
    context.console.say("Continuing after epoch \(state.progress.epoch).")
  }

  private func observe(_ trainer: Trainer) throws -> TrainingResult {
    let epochs = trainer.progress.configuration.epochs
    let steps = trainer.curve.stepsPerEpoch
    let progress = context.console.progress(
      label, total: epochs * steps, unit: "steps", completed: trainer.progress.step)
    var pace = SavingPace()
    func saveSometimes(_ trainer: Trainer) throws {
      try pace.save { try checkpoint.save(try trainer.exportState()) }
    }
    var detail: String?
    let hooks = TrainerHooks(
      onEpoch: { record, trainer in
        let accuracy = record.validAccuracy.map { ", valid accuracy \(Console.percent($0))" } ?? ""
        detail = "epoch \(record.epoch + 1)\(accuracy)"
        progress.update(completed: trainer.progress.step, detail: detail, loss: record.trainLoss)
        try saveSometimes(trainer)
      },
      onBatch: { trainer in
        progress.update(completed: trainer.progress.step, detail: detail)
        try saveSometimes(trainer)
      },
      isCancelled: { Interruption.isRequested })
    let result = try trainer.run(hooks)
    guard result.outcome != .cancelled else {
      try checkpoint.save(try trainer.exportState())
      throw PipelineError.interrupted
    }
    progress.finish(summary(of: result))
    return result
  }

  private func summary(of result: TrainingResult) -> String {
    var text = "\(result.history.count) epochs"
    if result.outcome == .stoppedEarly { text += " (stopped early)" }
    guard let best = result.best, let accuracy = best.validAccuracy else { return text }
    return text + ", best was epoch \(best.epoch + 1): valid accuracy \(Console.percent(accuracy))"
  }
}

extension FilePath {
  /// Writes `history.jsonl`: one line an epoch, all of them anew.
  func write(_ records: [EpochRecord]) throws {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys]
    let lines = try records.map { String(decoding: try encoder.encode($0), as: UTF8.self) + "\n" }
    try AtomicFile.write(self, text: lines.joined())
  }
}

extension Parameters {
  /// These with the ones in `other` in their place.
  func replacing(_ other: Parameters) -> Parameters {
    var result = self
    for path in other.paths { result[path] = other[path] }
    return result
  }

  /// Only what `graph` needs: the pretrained classifier, for one, is left out.
  func restricted(to graph: Graph) -> Parameters {
    var result = Parameters()
    for parameter in graph.parameters { result[parameter.path] = self[parameter.path] }
    return result
  }
}
