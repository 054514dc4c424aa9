// SPDX-License-Identifier: Apache-2.0

import Datasets
import Execution
import Files
import Foundation
import Network
import SystemPackage
import Tensors
import Training

/// Features and labels to train a head on.
struct TrainingData {
  let train: CachedFeatures
  let valid: CachedFeatures
  let classes: [String]
}

/// A network whose head has been trained.
struct TrainedHead {
  /// Of the whole network.
  let parameters: Parameters
  let outcome: TrainingOutcome
  let time: TrainingTime
}

/// Finds the weights of a head by the recipe's solver.
struct HeadTraining {
  let recipe: Recipe
  let network: TransferNetwork
  let data: TrainingData
  let checkpoint: TrainerCheckpoint
  let history: FilePath
  let context: StageContext

  func run() throws -> TrainedHead {
    let weights = classWeights()
    return recipe.train.solver == .lbfgs
      ? try solve(classWeights: weights) : try descend(classWeights: weights)
  }

  private func classWeights() -> [Float] {
    let balance = ClassBalance(labels: data.train.labels, classes: data.classes.count)
    if recipe.train.classWeights == .none {
      if let hint = balance.hint(names: data.classes) { context.console.say("hint: \(hint)") }
      return []
    }
    return balance.weights(.balanced)
  }

  // MARK: Stochastic gradient descent

  private func descend(classWeights: [Float]) throws -> TrainedHead {
    let settings = recipe.train
    let plan = try context.compiler.compileSuffix(
      network.graph, partition: network.partition,
      parameters: network.backbone.parameters(for: network.graph, seed: recipe.seed),
      freezing: network.plan, batch: settings.batch + 1, size: network.size)
    let loss = SoftmaxCrossEntropy(
      labelSmoothing: settings.labelSmoothing, classWeights: classWeights)
    let trainer = try Trainer(
      configuration, plan: plan, rates: LearningRates(settings.rate), training: data.train,
      validation: data.valid, loss: loss)
    try resume(trainer)
    let result = try observe(trainer)
    try writeHistory(result.history)
    var parameters = network.backbone.parameters(for: network.graph, seed: recipe.seed)
    let trained = plan.exportParameters()
    for path in trained.paths { parameters[path] = trained[path] }
    let seconds = result.history.reduce(0) { $0 + $1.seconds }
    return TrainedHead(
      parameters: parameters.restricted(to: network.graph),
      outcome: TrainingOutcome(
        epochs: result.history.count, bestValidAccuracy: result.best?.validAccuracy,
        bestValidLoss: result.best?.validLoss,
        trainableParameters: plan.trainable.reduce(0) { $0 + $1.shape.count }, cached: true),
      time: TrainingTime(photos: result.history.count * data.train.count, seconds: seconds))
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

  private var configuration: TrainerConfiguration {
    HeadTraining.configuration(
      recipe, samples: data.train.count, hasValidation: data.valid.count > 0)
  }

  /// The learning rate of a recipe's training, step by step; nil for a solver without one.
  static func curve(_ recipe: Recipe, photos: Manifest) -> (rate: Double, curve: ScheduleCurve)? {
    guard recipe.train.solver != .lbfgs else { return nil }
    let samples = photos.records(in: .train).count
    let configuration = configuration(recipe, samples: samples, hasValidation: false)
    let order = BatchOrder(
      count: samples, batchSize: configuration.batchSize, seed: configuration.seed)
    let curve = configuration.schedule.curve(
      stepsPerEpoch: order.batches.count, epochs: configuration.epochs)
    return (recipe.train.rate, curve)
  }

  private static func configuration(
    _ recipe: Recipe, samples: Int, hasValidation: Bool
  ) -> TrainerConfiguration {
    let settings = recipe.train
    let schedule: Schedule =
      switch settings.schedule {
      case .constant: .constant
      case .cosine: .cosineAnnealing
      case .sgdr:
        .sgdr(
          cycleLength: settings.cycleLength, multiplier: settings.cycleMultiplier, lowStart: false)
      }
    let optimizer: OptimizerConfiguration =
      settings.solver == .adam
      ? .adamW(weightDecay: settings.weightDecay)
      : OptimizerConfiguration(
        rule: .sgd(momentum: settings.momentum), weightDecay: .l2(settings.weightDecay))
    return TrainerConfiguration(
      epochs: epochs(schedule, atLeast: settings.epochs),
      batchSize: min(settings.batch, samples),
      seed: recipe.seed, optimizer: optimizer, schedule: schedule,
      earlyStopping: settings.patience == 0 || !hasValidation
        ? nil : EarlyStopping(patience: settings.patience))
  }

  /// The recipe's epochs; with restarts, as many whole cycles as reach them.
  private static func epochs(_ schedule: Schedule, atLeast epochs: Int) -> Int {
    var cycles = 1
    while let whole = schedule.epochs(cycles: cycles) {
      if whole >= epochs { return whole }
      cycles += 1
    }
    return epochs
  }

  private func observe(_ trainer: Trainer) throws -> TrainingResult {
    let progress = context.console.progress(
      "Training the head", total: trainer.progress.configuration.epochs, unit: "epochs",
      completed: trainer.progress.epoch)
    var pace = SavingPace()
    let hooks = TrainerHooks(
      onEpoch: { record, trainer in
        let accuracy = record.validAccuracy.map { "valid accuracy \(Console.percent($0))" }
        progress.update(completed: record.epoch + 1, detail: accuracy, loss: record.trainLoss)
        try pace.save { try checkpoint.save(try trainer.exportState()) }
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

  private func writeHistory(_ records: [EpochRecord]) throws {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys]
    let lines = try records.map { String(decoding: try encoder.encode($0), as: UTF8.self) + "\n" }
    try AtomicFile.write(history, text: lines.joined())
  }

  // MARK: The convex solver

  private func solve(classWeights: [Float]) throws -> TrainedHead {
    guard recipe.head.hidden == nil else {
      throw PipelineError.usage(
        "the solver lbfgs trains a single layer. Remove the hidden layer or use sgd or adam.")
    }
    let clock = ContinuousClock.now
    let solver = LogisticRegression(
      regularization: recipe.train.regularization.map(Regularization.inverseStrength) ?? .automatic,
      classWeights: classWeights, seed: recipe.seed)
    context.console.say("Solving the logistic regression")
    let model = try solver.fit(data.train, classes: data.classes.count)
    var parameters = network.backbone.parameters(for: network.graph, seed: recipe.seed)
    parameters[network.classifier.appending("weight")] = model.weight
    parameters[network.classifier.appending("bias")] = model.bias
    try writeHistory([])
    let seconds = clock.duration(to: .now) / .seconds(1)
    let valid = try validation(parameters)
    return TrainedHead(
      parameters: parameters.restricted(to: network.graph),
      outcome: TrainingOutcome(
        epochs: 0, bestValidAccuracy: valid?.accuracy, bestValidLoss: valid?.loss,
        trainableParameters: model.weight.count + model.bias.count, cached: true),
      time: TrainingTime(photos: data.train.count, seconds: seconds))
  }

  private func validation(_ parameters: Parameters) throws -> Evaluation? {
    guard data.valid.count > 0 else { return nil }
    let logits = try network.logits(
      of: data.valid.tensor, parameters: parameters, compiler: context.compiler)
    return try Evaluation(
      split: "valid", classNames: data.classes, logits: logits, labels: data.valid.labels)
  }
}

extension Recipe.Train {
  /// The learning rate; the defaults did best on held-out parts of training photos
  /// (Documentation/head-defaults.md).
  var rate: Double { learningRate ?? (solver == .adam ? 1e-3 : 0.01) }
}

extension Parameters {
  /// Only what `graph` needs: the pretrained classifier, for one, is left out.
  fileprivate func restricted(to graph: Graph) -> Parameters {
    var result = Parameters()
    for parameter in graph.parameters { result[parameter.path] = self[parameter.path] }
    return result
  }
}
